import numpy as np
import pytest
import torch
from PIL import Image
from torch.nn import functional

from dvface.metrics.warping import WarpingError
from dvface.perception.optical_flow import DISFlow
from dvface.weights import PackagedFile


class KnownFlow:
    """A flow estimator that is told the motion: `motion` pixels to the right, frames in order."""

    name = "known"
    file_name = "known.pth"

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
