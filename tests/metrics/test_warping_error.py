import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from dvface.config.compose import load, resolve
from dvface.evaluation.measure import metric_factories
from dvface.metrics.suite import MetricSuite
from dvface.metrics.warping import WarpingError
from dvface.perception.optical_flow import DISFlow
from dvface.weights import PackagedFile


class KnownFlow:
    """A flow estimator that is told the motion: `motion` pixels to the right, frames in order."""

    name = "known"
    file_name = "known.pth"
    least_side = 1

    def __init__(self, motion):
        self.motion = motion

    def flow(self, first, second):
        # the brightness of the first pixel tells which of the two frames comes first
        sign = 1 if (second[:, :, 0, 0] >= first[:, :, 0, 0]).all() else -1
        flow = torch.zeros(len(first), 2, *first.shape[-2:])
        flow[:, 0] = sign * self.motion
        return flow


def clip_of(levels, size=16):
    """A clip (1, 3, T, size, size) of flat frames, levels on [0, 1]."""
    return (torch.tensor(levels).view(1, 1, -1, 1, 1) * 2 - 1).repeat(1, 3, 1, size, size)


def panning_clip(frames=4, x=2, y=1):
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    picture = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float() / 127.5 - 1
    views = [picture[:, 60 + y * k : 160 + y * k, 120 + x * k : 220 + x * k] for k in range(frames)]
    return torch.stack(views, dim=1)[None]


def measure(clip, flow):
    metric = WarpingError(flow, "ewarp")
    metric.update(clip)
    return metric.compute().item()


def test_a_change_of_brightness_by_hand():
    # 0.1 in each of 3 channels: 3 · 0.01 per pixel, × 1000; then 0.2: 3 · 0.04 · 1000; mean over pairs
    assert measure(clip_of([0.3, 0.4, 0.6]), KnownFlow(0)) == pytest.approx((30 + 120) / 2, rel=1e-3)


def test_only_visible_pixels_count():
    clip = clip_of([0.3, 0.4], size=20)

    class HalfOccluded(KnownFlow):
        def flow(self, first, second):
            flow = super().flow(first, second)
            if flow[0, 0, 0, 0] < 0:  # backwards, the flow of the left half does not return
                flow[..., :10] = 5
            return flow

    clip[:, :, 1, :, :8] = 1.0  # a great error, all of it where the mask is off
    clip[:, :, 1, 0, 0] = clip[:, :, 1, 0, 19]
    assert measure(clip, HalfOccluded(0.1)) == pytest.approx(30, rel=1e-2)


def test_a_static_clip_has_no_error():
    clip = panning_clip(frames=1).repeat(1, 1, 4, 1, 1)
    assert measure(clip, DISFlow()) == pytest.approx(0, abs=1e-4)


def test_motion_that_the_flow_explains_is_not_an_error():
    panning = panning_clip()
    still_flow = KnownFlow(0)
    assert measure(panning, DISFlow()) < 0.05 * measure(panning, still_flow)


def test_flicker_raises_it_and_blur_lowers_it():
    panning = panning_clip()
    noise = 0.1 * torch.randn(panning.shape, generator=torch.Generator().manual_seed(0))
    blurred = functional.avg_pool3d(panning, (1, 5, 5), stride=1)
    assert measure(panning + noise, DISFlow()) > 5 * measure(panning, DISFlow())
    assert measure(blurred, DISFlow()) < measure(panning, DISFlow())


def test_one_frame_and_total_occlusion_have_no_answer():
    class NeverReturning(KnownFlow):
        def flow(self, first, second):
            return super().flow(first, second).abs()

    one_frame, occluded = WarpingError(DISFlow(), "ewarp_dis"), WarpingError(NeverReturning(4), "ewarp")
    one_frame.update(clip_of([0.5]))
    occluded.update(clip_of([0.3, 0.4]))
    for metric in (one_frame, occluded):
        assert metric.compute().isnan()
        assert metric.skipped == 1


def test_the_measure_says_whose_flow_it_followed():
    metric = WarpingError(KnownFlow(0), "ewarp")
    assert (metric.name, metric.file_name) == ("ewarp", "known.pth")
    assert "known" in metric.definition


def by_hand(clip, estimator):
    """The measure of (T, H, W, 3) uint8, pair by pair, in float64 numpy from the flows on."""
    frames = torch.from_numpy(clip).permute(0, 3, 1, 2).float() / 127.5 - 1
    errors = []
    for one, other in zip(frames[:-1, None], frames[1:, None], strict=True):
        forward, backward = (
            flow[0].double().numpy() for flow in (estimator.flow(one, other), estimator.flow(other, one))
        )
        returned = sampled(backward, forward)
        length = (forward**2).sum(axis=0)
        kept = ((forward + returned) ** 2).sum(axis=0) <= 0.01 * (length + (returned**2).sum(axis=0)) + 0.5
        change = np.zeros_like(length)
        change[:, :-1] += (np.diff(forward, axis=2) ** 2).sum(axis=0)
        change[:-1] += (np.diff(forward, axis=1) ** 2).sum(axis=0)
        kept &= change <= 0.01 * length + 0.002
        first, second = ((frame[0].double().numpy() + 1) / 2 for frame in (one, other))
        errors.append((((first - sampled(second, forward)) ** 2).sum(axis=0) * kept).sum() / kept.sum())
    return 1e3 * np.mean(errors)


def sampled(image, flow):
    """Bilinear at each pixel moved by the flow, indices outside moved to the border."""
    _, height, width = image.shape
    y, x = np.mgrid[:height, :width] + flow[::-1]
    y, x = y.clip(0, height - 1), x.clip(0, width - 1)
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    bottom, right = np.minimum(top + 1, height - 1), np.minimum(left + 1, width - 1)
    upper = image[:, top, left] * (1 - (x - left)) + image[:, top, right] * (x - left)
    lower = image[:, bottom, left] * (1 - (x - left)) + image[:, bottom, right] * (x - left)
    return upper * (1 - (y - top)) + lower * (y - top)


def test_a_clip_of_several_segments_is_what_another_arithmetic_says_of_its_pairs(carphone):
    frames = carphone[:37, 20:116, 30:142]
    clip = torch.from_numpy(frames).permute(3, 0, 1, 2).float()[None] / 127.5 - 1
    assert measure(clip, DISFlow()) == pytest.approx(by_hand(frames, DISFlow()), rel=1e-4)


def test_clips_measured_together_are_the_mean_of_those_measured_alone():
    clips = [panning_clip(3, 2, 1), panning_clip(3, -4, 3)]
    together = measure(torch.cat(clips), DISFlow())
    assert together == pytest.approx(np.mean([measure(clip, DISFlow()) for clip in clips]), rel=1e-6)


def test_without_motion_it_is_the_same_backwards_and_in_the_mirror():
    clip = clip_of([0.3, 0.4, 0.6, 0.5]) + 0.1 * torch.randn(1, 3, 4, 16, 16)
    forwards = measure(clip, KnownFlow(0))
    assert measure(clip.flip(2), KnownFlow(0)) == pytest.approx(forwards, rel=1e-5)
    assert measure(clip.flip(4), KnownFlow(0)) == pytest.approx(forwards, rel=1e-5)


@pytest.mark.parametrize("flow", ["dis", "raft_small", "raft_large", "spynet"])
def test_each_measure_of_one_flow_is_built_with_it_or_left_out_by_name(flow, monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    name = f"ewarp_{flow}"
    tree = resolve(load("train", [f"metrics=[{name}]"]))["metrics"]
    suite = MetricSuite(metric_factories(tree))
    if flow == "dis":
        assert suite.metrics[name].flow.name == "dis"
    else:
        assert not suite.metrics
        assert "not at hand" in suite.left_out[name]


def test_the_flow_of_the_free_measure_is_chosen_in_the_configuration():
    tree = resolve(load("train", ["metrics=[ewarp]", "flow@metrics.ewarp.flow=farneback"]))["metrics"]
    metric = MetricSuite(metric_factories(tree)).metrics["ewarp"]
    assert "farneback" in metric.definition
    assert resolve(load("train", ["metrics=[ewarp]"]))["metrics"]["ewarp"]["flow"]["size"] == "small"
