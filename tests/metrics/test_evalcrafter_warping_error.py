from itertools import pairwise

import numpy as np
import pytest
import torch
from torchvision.models.optical_flow import raft_large

from dvface.config.compose import load, resolve
from dvface.evaluation.measure import metric_factories
from dvface.metrics.suite import MetricSuite
from dvface.metrics.warping_evalcrafter import EvalCrafterWarpingError


class Swaying:
    """A smooth flow, forwards or backwards by which frame is brighter, its length read off what it is shown.

    Fed frames in any other range than the script feeds, or padded elsewhere, it says something else.
    """

    name = "swaying"
    file_name = "swaying.pth"

    def flow(self, first, second):
        return torch.stack(
            [
                torch.from_numpy(swaying(*(frame.double().numpy() for frame in pair)))
                for pair in zip(first, second, strict=True)
            ]
        ).float()


def swaying(first, second):
    """(3, H, W) twice -> (2, H, W)."""
    _, height, width = first.shape
    y, x = np.mgrid[:height, :width]
    length = 200 * (first.mean() + 1)  # frames between -1 and -0.992: up to 1.6
    sign = 1 if first.sum() < second.sum() else -1
    field = np.stack([2 + np.sin(x / 9) + (x > width // 2) * (y > height // 2), np.cos(y / 7 + x / 11)])
    return sign * length * field + (sign < 0) * 0.4 * np.sin(y / 5)


def script(clip):
    """What EvalCrafter's script returns, × 10³, for (T, H, W, 3) uint8: from its description, in numpy alone."""
    return 1e3 * np.mean([error_of_script(one, other) for one, other in pairwise(clip)])


def error_of_script(one, other, estimate=swaying):
    one, other = (padded(halved(frame.astype(np.float64).transpose(2, 0, 1) / 255)) for frame in (one, other))
    shown_one, shown_other = (2 * frame / 255 - 1 for frame in (one, other))
    forward, backward = estimate(shown_one, shown_other), estimate(shown_other, shown_one)
    returned = sampled(backward, forward)
    length, back = (forward**2).sum(axis=0), (returned**2).sum(axis=0)
    occluded = ((forward + returned) ** 2).sum(axis=0) > 0.01 * (length + back) + 0.5
    gradient = np.zeros_like(length)
    gradient[:, :-1] += ((forward[:, :, 1:] - forward[:, :, :-1]) ** 2).sum(axis=0)
    gradient[:-1] += ((forward[:, 1:] - forward[:, :-1]) ** 2).sum(axis=0)
    kept = ~(occluded | (gradient > 0.01 * length + 0.002))
    if not kept.any():
        return 0.0
    return (((sampled(other, forward) - one) ** 2).sum(axis=0) * kept).sum() / kept.sum()


def halved(frame):
    """The mean of two by two; an odd last row or column is dropped."""
    height, width = (length // 2 * 2 for length in frame.shape[1:])
    frame = frame[:, :height, :width]
    return (frame[:, ::2, ::2] + frame[:, 1::2, ::2] + frame[:, ::2, 1::2] + frame[:, 1::2, 1::2]) / 4


def padded(frame):
    rows, columns = (-length % 8 for length in frame.shape[1:])
    return np.pad(frame, ((0, 0), (rows // 2, rows - rows // 2), (columns // 2, columns - columns // 2)), mode="edge")


def sampled(image, flow):
    """Bilinear, indices outside moved to the border."""
    _, height, width = image.shape
    y, x = np.mgrid[:height, :width] + flow[::-1]
    top, left = np.floor(y).astype(int), np.floor(x).astype(int)
    down, right = y - top, x - left
    rows, columns = (
        [np.clip(first + k, 0, last - 1) for k in (0, 1)] for first, last in ((top, height), (left, width))
    )
    return sum(
        weight_y * weight_x * image[:, row, column]
        for row, weight_y in zip(rows, (1 - down, down), strict=True)
        for column, weight_x in zip(columns, (1 - right, right), strict=True)
    )


def as_clip(frames):
    return torch.from_numpy(frames).permute(3, 0, 1, 2).float()[None] / 127.5 - 1


def measure(clip, flow):
    metric = EvalCrafterWarpingError(flow)
    metric.update(clip)
    return metric.compute().item()


@pytest.mark.parametrize(("height", "width"), [(144, 176), (130, 101), (117, 150)])
def test_it_is_the_number_of_the_script(carphone, height, width):
    frames = carphone[20:25, :height, :width]
    assert all(error_of_script(one, other) > 0 for one, other in pairwise(frames))
    assert measure(as_clip(frames), Swaying()) == pytest.approx(script(frames), rel=1e-4)


def test_a_clip_of_several_segments_is_the_mean_of_its_pairs(carphone):
    frames = carphone[:37, 40:104, 60:124]
    assert measure(as_clip(frames), Swaying()) == pytest.approx(script(frames), rel=1e-4)


def test_a_pair_without_a_visible_pixel_counts_as_zero():
    class HalfTheTime:
        """Forwards and backwards agree for the first frame only."""

        name, file_name = "half", None

        def flow(self, first, second):
            apart = 4.0 * (first[:, 0, 0, 0] > -0.9961)  # brighter than 0.5
            return apart.view(-1, 1, 1, 1).expand(-1, 2, *first.shape[-2:]).clone()

    levels = torch.tensor([0.2, 0.3, 0.9, 0.6]).view(1, 1, -1, 1, 1)
    clip = (2 * levels - 1).repeat(1, 3, 1, 32, 32)
    # 0.2 to 0.3: seen, 3 · 0.01; 0.3 to 0.9 and 0.9 to 0.6: the flow back does not return
    assert measure(clip, HalfTheTime()) == pytest.approx(30 / 3, rel=1e-4)


def test_a_static_clip_has_no_error_and_one_frame_no_answer(carphone):
    class Still:
        name, file_name = "still", None

        def flow(self, first, second):
            return torch.zeros(len(first), 2, *first.shape[-2:])

    frames = as_clip(carphone[:1])
    assert measure(frames.repeat(1, 1, 4, 1, 1), Still()) == pytest.approx(0, abs=1e-6)
    metric = EvalCrafterWarpingError(Still())
    metric.update(frames)
    assert metric.compute().isnan()
    assert metric.skipped == 1


@pytest.fixture
def raft_things(tmp_path, monkeypatch):
    """A weights folder that holds a random RAFT-large, of little movement, under the name of raft-things.pth."""
    torch.manual_seed(0)
    state = raft_large(weights=None).state_dict()
    for part in ("weight", "bias"):
        state[f"update_block.flow_head.conv2.{part}"] *= 1e-3
    (tmp_path / "raft_large").mkdir()
    torch.save(state, tmp_path / "raft_large" / "raft-things.pth")
    monkeypatch.setenv("DVFACE_WEIGHTS", str(tmp_path))


def suite():
    return MetricSuite(metric_factories(resolve(load("train", ["metrics=[ewarp_paper]"]))["metrics"]))


@pytest.mark.usefixtures("raft_things")
def test_the_chosen_measure_asks_raft_things_for_twenty_updates_both_ways(carphone, monkeypatch):
    chosen = suite()
    metric = chosen.metrics["ewarp_paper"]
    assert (chosen.networks, metric.higher_is_better) == ({"ewarp_paper": "raft-things.pth"}, False)
    assert (metric.flow.name, metric.flow.updates) == ("raft_large", 20)
    answers = []
    answer = metric.flow.flow

    def noted(first, second):
        answers.append(answer(first, second))
        return answers[-1]

    monkeypatch.setattr(metric.flow, "flow", noted)
    frames = np.tile(carphone[20:22], (1, 2, 2, 1))[:, :256, :256]
    metric.update(as_clip(frames))
    assert len(answers) == 2
    said = (flow[0].double().numpy() for flow in answers)
    expected = error_of_script(*frames, estimate=lambda *_: next(said))
    assert expected > 0
    assert answers[0].abs().max() > 0.01
    assert metric.compute().item() == pytest.approx(1e3 * expected, rel=1e-3)


def test_without_raft_things_it_is_left_out_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setenv("DVFACE_WEIGHTS", str(tmp_path))
    chosen = suite()
    assert not chosen.metrics
    assert "raft-things.pth" in chosen.left_out["ewarp_paper"]
