import pytest
import torch
from tests.losses.clips import footage, grey
from torch import Tensor

from dvface.losses.temporal import FrameDifferenceLoss, WarpedConsistencyLoss
from dvface.perception.optical_flow import DISFlow

TOLERANCE = {"atol": 1e-6, "rtol": 0.0}


class KnownMotion:
    """The flow of a scene in which everything moves by so many pixels a frame, or back where frames are swapped.

    It tells the two apart by brightness: the test's scenes brighten a little with time.
    """

    name = "known"
    file_name = None

    def __init__(self, x: float, y: float) -> None:
        self.motion = torch.tensor([x, y])

    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        ahead = (second.mean(dim=(1, 2, 3)) >= first.mean(dim=(1, 2, 3))).float() * 2 - 1
        motion = ahead.view(-1, 1, 1, 1) * self.motion.view(1, 2, 1, 1)
        return motion.expand(-1, -1, *first.shape[2:]).to(first)


def panning(carphone, frames: int = 3, size: int = 48) -> Tensor:
    """A still picture over which the camera moves: what is in it goes 2 to the right and 1 up each frame."""
    picture = footage(carphone, clips=1, frames=1, size=100)[:, :, 0]
    views = [
        picture[..., 10 + number : 10 + number + size, 40 - 2 * number : 40 - 2 * number + size]
        for number in range(frames)
    ]
    return torch.stack(views, dim=2)


class TestFrameDifference:
    def test_it_ignores_a_constant_error_and_sees_flicker(self) -> None:
        clean = grey(0.0, 0.1, 0.2)
        torch.testing.assert_close(FrameDifferenceLoss()(clean + 0.3, clean, 0), torch.tensor(0.0), **TOLERANCE)
        flicker = grey(0.0, 0.3, 0.2)
        torch.testing.assert_close(FrameDifferenceLoss()(flicker, clean, 0), torch.tensor(0.2))


class TestWarpedConsistency:
    def test_a_still_clip_costs_nothing_whatever_it_shows(self, carphone) -> None:
        still = footage(carphone, clips=2, frames=1).expand(-1, -1, 4, -1, -1)
        loss = WarpedConsistencyLoss(DISFlow(), pairs=2)
        assert loss(still, still, 0) == pytest.approx(0, abs=1e-6)
        assert loss(still.flip(-1), still, 0) == pytest.approx(0, abs=1e-6)  # still, if wrong

    def test_flicker_costs_the_change_of_brightness(self) -> None:
        clean = grey(0.0, 0.0, 0.0)
        loss = WarpedConsistencyLoss(DISFlow(), pairs=2)
        torch.testing.assert_close(loss(grey(0.5, 0.25, 0.5), clean, 0), torch.tensor(0.25), **TOLERANCE)

    @pytest.mark.parametrize("relative_to_clean", [False, True])
    def test_what_moves_with_the_scene_costs_next_to_nothing_and_what_stands_on_the_screen_does(
        self, carphone, relative_to_clean: bool
    ) -> None:
        clean = panning(carphone)
        loss = WarpedConsistencyLoss(DISFlow(), pairs=2, relative_to_clean=relative_to_clean)
        moving = 0.2 * torch.sin(panning(carphone) * 9)
        standing = moving[:, :, :1].expand_as(moving)
        with_scene, on_screen = loss(clean + moving, clean, 0), loss(clean + standing, clean, 0)
        assert on_screen > 0.05
        assert with_scene < 0.35 * on_screen

    def test_a_perfect_clip_costs_exactly_nothing_relative_to_the_clean_one(self, carphone) -> None:
        clean = footage(carphone, clips=1, frames=3)
        relative, absolute = (
            WarpedConsistencyLoss(DISFlow(), pairs=2, relative_to_clean=choice)(clean, clean, 0)
            for choice in (True, False)
        )
        assert relative == 0
        assert absolute > 0

    def test_of_a_known_shift_the_next_frame_is_fetched_from_where_the_flow_points(self) -> None:
        # a ramp in x that moves right by 2 is lower by 2 steps at each place; a last brightening is what is left
        ramp = torch.arange(32.0).expand(1, 3, 32, 32) / 100
        clip = torch.stack((ramp, ramp - 0.02 + 0.3), dim=2)
        value = WarpedConsistencyLoss(KnownMotion(2, 0), pairs=1)(clip, clip, 0)
        # within 2 columns of the right border the flow points outside and the border's value repeats
        expected = (30 * 0.3 + (0.3 - 0.01) + (0.3 - 0.02)) / 32
        torch.testing.assert_close(value, torch.tensor(expected), atol=1e-5, rtol=0)

    def test_without_motion_relative_to_clean_it_is_the_frame_difference_loss(self, carphone) -> None:
        clean = footage(carphone, clips=2, frames=3, size=32)
        restored = clean + 0.1 * torch.randn_like(clean)
        loss = WarpedConsistencyLoss(KnownMotion(0, 0), pairs=2, relative_to_clean=True)
        torch.testing.assert_close(loss(restored, clean, 0), FrameDifferenceLoss()(restored, clean, 0))

    def test_a_clip_without_a_visible_pixel_costs_nothing(self) -> None:
        # both ways of a pair have one direction only, so no pixel returns to where it came from
        clip = torch.randn(1, 3, 1, 16, 16).expand(-1, -1, 2, -1, -1).clone().requires_grad_(True)
        value = WarpedConsistencyLoss(KnownMotion(5, 0), pairs=1)(clip, clip.detach(), 0)
        value.backward()
        assert value == 0
        assert clip.grad.abs().max() == 0

    def test_the_pairs_it_looks_at_rotate_through_the_clip(self, carphone) -> None:
        clean = footage(carphone, clips=1, frames=4, size=32)
        loss = WarpedConsistencyLoss(DISFlow(), pairs=1)
        seen = []
        for step in range(3):
            restored = torch.randn_like(clean).requires_grad_(True)
            loss(restored, clean, step).backward()
            seen.append(restored.grad.abs().amax(dim=(0, 1, 3, 4)).nonzero().flatten().tolist())
        assert seen == [[0, 1], [1, 2], [2, 3]]

    def test_looking_at_no_pair_is_refused(self) -> None:
        with pytest.raises(ValueError, match="pairs must be at least 1, got 0"):
            WarpedConsistencyLoss(DISFlow(), pairs=0)
