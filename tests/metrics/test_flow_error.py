import math

import cv2
import numpy as np
import pytest
import torch

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.metrics.flow_error import FlowError
from dvface.perception.optical_flow import DISFlow, FarnebackFlow


class FlowOfBrightness:
    """A flow that is read off the frames: (10, 0) times the second's brightness on [0, 1], pixel by pixel."""

    name = "brightness"
    file_name = "brightness.pth"

    def flow(self, first, second):
        x = 5 * (second.mean(dim=1) + 1)
        return torch.stack([x, torch.zeros_like(x)], dim=1)


def clip_of(levels, height=64, width=80):
    """A clip (1, 3, T, height, width) of flat frames, levels on [0, 1]."""
    return (torch.tensor(levels).view(1, 1, -1, 1, 1) * 2 - 1).repeat(1, 3, 1, height, width)


def as_clip(frames):
    return torch.from_numpy(frames).permute(3, 0, 1, 2).float()[None] / 127.5 - 1


def measure(restored, clean, flow):
    metric = FlowError(flow)
    metric.update(restored, clean)
    return metric.compute().item()


def tecogan(restored, clean):
    """tOF of two clips (T, H, W, 3) uint8, after the description of TecoGAN's script, in numpy and OpenCV alone."""
    kept = [
        max(side for side in range(0, length, 32) if side <= length - 16)  # a border of 8 at least
        for length in clean.shape[1:3]
    ]
    top, left = ((length - side) // 2 for length, side in zip(clean.shape[1:3], kept, strict=True))
    distances = []
    for k in range(1, len(clean)):
        flows = [
            cv2.calcOpticalFlowFarneback(
                *(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in clip[k - 1 : k + 1]),
                *(None, 0.5, 3, 15, 3, 5, 1.2, 0),
            )
            for clip in (restored, clean)
        ]
        apart = (flows[0] - flows[1]).astype(np.float64)[top : top + kept[0], left : left + kept[1]]
        distances.append(np.sqrt((apart**2).sum(axis=-1)).mean())
    return np.mean(distances)


@pytest.fixture(scope="module")
def shaken(carphone):
    """Clean footage, and the same with every third frame moved by two pixels and some noise."""
    clean = carphone[30:68, 20:116, 30:142]
    restored = clean.copy()
    restored[::3] = np.roll(restored[::3], (1, 2), axis=(1, 2))
    noise = np.random.default_rng(0).normal(0, 2, clean.shape)
    return np.clip(restored + noise, 0, 255).astype(np.uint8), clean


def test_the_distance_of_flows_by_hand():
    # flows 3 and 4 pixels long where the clean ones are 1 and 6: 2 and 2 apart; then 7 and 2: 5
    restored, clean = clip_of([0.0, 0.3, 0.4, 0.7]), clip_of([0.0, 0.1, 0.6, 0.2])
    assert measure(restored, clean, FlowOfBrightness()) == pytest.approx((2 + 2 + 5) / 3, rel=1e-4)


def test_both_components_count_as_one_distance():
    class Diagonal(FlowOfBrightness):
        def flow(self, first, second):
            x = super().flow(first, second)[:, 0]
            return torch.stack([3 * x, 4 * x], dim=1)

    assert measure(clip_of([0.0, 0.3]), clip_of([0.0, 0.1]), Diagonal()) == pytest.approx(5 * 2, rel=1e-4)


@pytest.mark.parametrize(
    ("size", "rows", "columns"),
    [
        ((64, 80), (16, 48), (8, 72)),
        ((48, 112), (8, 40), (8, 104)),
        ((79, 81), (23, 55), (8, 72)),
        ((111, 111), (23, 87), (23, 87)),
    ],
)
def test_the_border_that_tecogan_crops_does_not_count(size, rows, columns):
    clean = clip_of([0.2, 0.2], *size)
    restored = torch.ones_like(clean)
    restored[..., slice(*rows), slice(*columns)] = clean[..., slice(*rows), slice(*columns)]
    assert measure(restored, clean, FlowOfBrightness()) == pytest.approx(0, abs=1e-5)
    inside = (rows[1] - rows[0]) * (columns[1] - columns[0])
    for corner in ((rows[0], columns[0]), (rows[1] - 1, columns[1] - 1)):
        touched = restored.clone()
        touched[..., 1, corner[0], corner[1]] = 1  # 8 pixels of flow apart
        assert measure(touched, clean, FlowOfBrightness()) == pytest.approx(8 / inside, rel=1e-3)


def test_it_is_the_number_of_tecogans_script(shaken):
    restored, clean = shaken
    expected = tecogan(restored, clean)
    assert expected > 0.3
    assert measure(as_clip(restored), as_clip(clean), FarnebackFlow()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("estimator", [FarnebackFlow(), DISFlow()], ids=lambda estimator: estimator.name)
def test_a_clip_has_no_error_against_itself_and_a_shaking_one_has(shaken, estimator):
    restored, clean = (as_clip(frames[:6]) for frames in shaken)
    assert measure(clean, clean, estimator) == 0
    assert measure(restored, clean, estimator) > 0.2


def test_which_clip_is_the_clean_one_makes_no_difference(shaken):
    restored, clean = (as_clip(frames[:6]) for frames in shaken)
    one_way, other_way = measure(restored, clean, FarnebackFlow()), measure(clean, restored, FarnebackFlow())
    assert one_way == pytest.approx(other_way, rel=1e-6)


def test_a_clip_of_several_segments_is_the_mean_of_its_pairs(shaken):
    restored, clean = (as_clip(frames[:37]) for frames in shaken)
    pairs = [
        measure(restored[:, :, k : k + 2], clean[:, :, k : k + 2], FarnebackFlow())
        for k in range(restored.shape[2] - 1)
    ]
    assert len(pairs) == 36
    assert measure(restored, clean, FarnebackFlow()) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_clips_measured_together_are_the_mean_of_those_measured_alone(shaken):
    restored, clean = (as_clip(frames) for frames in shaken)
    parts = [(restored[:, :, k : k + 4], clean[:, :, k : k + 4]) for k in (0, 8)]
    together = measure(*(torch.cat(sides) for sides in zip(*parts, strict=True)), FarnebackFlow())
    assert together == pytest.approx(np.mean([measure(*part, FarnebackFlow()) for part in parts]), rel=1e-6)


@pytest.mark.parametrize("shape", [(1, 64, 80), (2, 47, 80)])
def test_one_frame_and_frames_within_the_border_have_no_answer(shape):
    frames, height, width = shape
    metric = FlowError(FlowOfBrightness())
    metric.update(clip_of([0.2] * frames, height, width), clip_of([0.4] * frames, height, width))
    assert math.isnan(metric.compute())
    assert metric.skipped == 1


def test_the_chosen_measure_is_tecogans_unless_another_flow_is_asked_for():
    chosen = build(resolve(load("train", ["metrics=[tof]"]))["metrics"]["tof"])
    assert (chosen.name, chosen.file_name) == ("tof", None)
    assert isinstance(chosen.flow, FarnebackFlow)
    assert "farneback" in chosen.definition
    other = build(resolve(load("train", ["metrics=[tof]", "flow@metrics.tof.flow=dis"]))["metrics"]["tof"])
    assert isinstance(other.flow, DISFlow)
    assert "dis" in other.definition
