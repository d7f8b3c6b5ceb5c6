"""The last touch on decoded frames: what it may change, what it sees, and on which sizes it works."""

import pytest
import torch
from torch import Tensor

from dvface.models.refinement import ConvolutionRefinement, NoRefinement, Refinement
from dvface.models.refinement_multiscale import MultiScaleRefinement, ShiftedBlock


def multiscale(shuffle: int = 2) -> MultiScaleRefinement:
    return MultiScaleRefinement(shuffle=shuffle, channels=[8, 16], blocks=1)


def awake(refinement: Refinement) -> Refinement:
    """With no zero weights left, as after training."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in refinement.parameters():
            parameter.copy_(0.2 * torch.randn(parameter.shape, generator=generator))
    return refinement.double().eval()


def clip(frames: int = 5, side: int = 16) -> Tensor:
    return torch.rand(2, 3, frames, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64) * 2 - 1


@pytest.mark.parametrize("refinement", [NoRefinement(), ConvolutionRefinement(8, 1), multiscale(), multiscale(4)])
def test_an_untrained_refinement_gives_the_decoded_frames(refinement: Refinement) -> None:
    decoded = clip(3)
    assert torch.equal(refinement.double()(decoded, -decoded), decoded)


@pytest.mark.parametrize("shuffle", [1, 2, 4])
def test_the_multiple_is_the_smallest_size_that_works(shuffle: int) -> None:
    refinement = awake(multiscale(shuffle))
    assert refinement.spatial_multiple == 2 * shuffle
    side = refinement.spatial_multiple
    video = clip(2, 3 * side)[..., :side, :]
    assert refinement(video, video).shape == video.shape
    with pytest.raises((RuntimeError, ValueError)):
        refinement(video[..., : shuffle + side], video[..., : shuffle + side])


def test_clips_of_a_batch_do_not_see_one_another() -> None:
    refinement, video = awake(multiscale()), clip()
    together = refinement(video, -video)
    apart = torch.cat([refinement(video[:1], -video[:1]), refinement(video[1:], -video[1:])])
    torch.testing.assert_close(together, apart)


def test_a_frame_sees_its_neighbours_and_as_far_as_there_are_blocks() -> None:
    refinement, video = awake(multiscale()), clip(9)
    changed = video.clone()
    changed[:, :, 4] += 0.1
    difference = (refinement(changed, changed) - refinement(video, video)).abs().amax(dim=(0, 1, 3, 4))
    # three blocks lie on the way, and each passes channels on by one frame
    assert (difference > 1e-9).tolist() == [abs(frame - 4) <= 3 for frame in range(9)]


def test_a_still_clip_stays_still() -> None:
    still = clip(1).expand(-1, -1, 5, -1, -1)
    result = awake(multiscale())(still, -still)
    torch.testing.assert_close(result, result[:, :, :1].expand_as(result))


def test_a_shift_by_whole_positions_shifts_the_result() -> None:
    refinement, video = awake(multiscale()), clip(2, 96)
    moved = torch.roll(video, (8, 8), dims=(3, 4))
    inside = slice(44, 52)  # far from the borders, where padding and the wrapped rows are not seen
    one = refinement(video, video)[..., inside, inside]
    other = refinement(moved, moved)[..., 52:60, 52:60]
    torch.testing.assert_close(one, other)


def test_the_shift_moves_an_eighth_of_the_channels_each_way() -> None:
    block = ShiftedBlock(8)
    frames = torch.arange(3.0)[:, None, None, None].expand(3, 8, 1, 1)
    shifted = block._shifted(frames, clips=1)[:, :, 0, 0]
    assert shifted[:, 0].tolist() == [0, 0, 1]  # from the frame before
    assert shifted[:, 1].tolist() == [1, 2, 2]  # from the frame after
    assert all(shifted[:, channel].tolist() == [0, 1, 2] for channel in range(2, 8))


@pytest.mark.parametrize(
    "arguments",
    [
        {"shuffle": 4, "channels": [], "blocks": 1},
        {"shuffle": 4, "channels": [12], "blocks": 1},
        {"shuffle": 4, "channels": [8], "blocks": 0},
        {"shuffle": 0, "channels": [8], "blocks": 1},
    ],
)
def test_sizes_without_sense_are_refused(arguments: dict) -> None:
    with pytest.raises(ValueError, match=r"refinement\.channels must be multiples of 8"):
        MultiScaleRefinement(**arguments)
