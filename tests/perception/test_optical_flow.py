import cv2
import numpy as np
import pytest
import torch
from PIL import Image

from dvface.perception.optical_flow import DISFlow, FarnebackFlow, visible, warp
from dvface.weights import PackagedFile


def portrait():
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].float() / 127.5 - 1


def moved_pair(x, y, height, width):
    """A crop, and the same crop after everything in it moved by (x, y)."""
    picture = portrait()
    first = picture[..., 60 : 60 + height, 120 : 120 + width]
    second = picture[..., 60 - y : 60 - y + height, 120 - x : 120 - x + width]
    return first, second


def constant_flow(x, y, height=6, width=8):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def test_warp_takes_each_pixel_from_where_the_flow_points():
    frame = torch.arange(48.0).view(1, 1, 6, 8)
    warped = warp(frame, constant_flow(2, -1))
    assert torch.allclose(warped[..., 1:, :-2], frame[..., :-1, 2:], atol=1e-4)
    # outside, the border repeats
    assert torch.allclose(warped[0, 0, 1:, -1], frame[0, 0, :-1, -1], atol=1e-4)


def test_warp_interpolates_between_pixels():
    frame = torch.tensor([0.0, 10.0, 30.0]).view(1, 1, 1, 3)
    warped = warp(frame, constant_flow(0.5, 0, 1, 3))
    assert torch.allclose(warped.flatten(), torch.tensor([5.0, 20.0, 30.0]), atol=1e-4)


@pytest.mark.parametrize(("slip", "expected"), [(0.70, True), (0.75, False)])
def test_a_pixel_is_visible_while_the_flows_return_to_it(slip, expected):
    # forward 1, backward slip - 1: occluded where slip² > 0.01 (1 + (slip - 1)²) + 0.5, between .71 and .72
    mask = visible(constant_flow(1, 0), constant_flow(slip - 1, 0))
    assert mask.shape == (1, 1, 6, 8)
    assert (mask == expected).all()


@pytest.mark.parametrize(("step", "hidden_column"), [(0.04, None), (0.05, 3)])
def test_a_pixel_at_a_motion_boundary_is_not_visible(step, hidden_column):
    # of still surroundings, so boundary where step² > 0.002: step > 0.0447
    forward = constant_flow(0, 0)
    forward[:, 0, :, 4:] = step
    mask = visible(forward, -forward)
    assert [column for column in range(8) if not mask[0, 0, :, column].all()] == (
        [] if hidden_column is None else [hidden_column]
    )


@pytest.mark.parametrize("estimator", [DISFlow(), FarnebackFlow()], ids=lambda estimator: estimator.name)
def test_a_known_motion_and_its_axes_are_recovered(estimator):
    first, second = moved_pair(3, -2, 120, 130)
    flow = estimator.flow(first, second)
    assert flow.shape == (1, 2, 120, 130)
    x, y = flow[0, :, 15:-15, 15:-15].flatten(1).median(dim=1).values
    assert (x, y) == (pytest.approx(3, abs=0.1), pytest.approx(-2, abs=0.1))


@pytest.mark.parametrize("estimator", [DISFlow(), FarnebackFlow()], ids=lambda estimator: estimator.name)
def test_a_pair_has_the_same_flow_alone_as_among_others(estimator):
    pairs = [moved_pair(x, y, 96, 112) for x, y in ((3, -2), (0, 0), (-5, 1), (3, -2))]
    first, second = (torch.cat(frames) for frames in zip(*pairs, strict=True))
    together = estimator.flow(first, second)
    assert torch.equal(together, torch.cat([estimator.flow(*pair) for pair in pairs]))
    assert torch.equal(together[0], together[3])


def test_farneback_is_opencvs_with_the_settings_of_tecogan():
    first, second = moved_pair(3, -2, 96, 112)
    grey = [
        cv2.cvtColor(((frame[0].permute(1, 2, 0) + 1) * 127.5).round().byte().numpy(), cv2.COLOR_RGB2GRAY)
        for frame in (first, second)
    ]
    expected = cv2.calcOpticalFlowFarneback(*grey, None, 0.5, 3, 15, 3, 5, 1.2, 0)
    flow = FarnebackFlow().flow(first, second)
    assert torch.equal(flow[0].permute(1, 2, 0), torch.from_numpy(expected))
