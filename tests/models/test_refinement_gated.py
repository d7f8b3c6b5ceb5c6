"""The strength that follows the input: the body's result before training, and between input and twice its change."""

import pytest
import torch
from torch import Tensor, nn

from dvface.models.refinement import NoRefinement, Refinement
from dvface.models.refinement_gated import STRIDE, GatedRefinement, Strength
from dvface.models.refinement_multiscale import MultiScaleRefinement


class Brighter(Refinement):
    """Adds a constant, whatever it sees."""

    def forward(self, decoded: Tensor, degraded: Tensor) -> Tensor:
        return degraded + 0.25


class Columns(Refinement):
    """Takes widths that are no friend of the strength's."""

    spatial_multiple = 24

    def forward(self, decoded: Tensor, degraded: Tensor) -> Tensor:
        return decoded


def clip(frames: int = 3, height: int = 32, width: int = 48) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.rand(2, 3, frames, height, width, generator=generator, dtype=torch.float64) * 2 - 1


def awake(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
    return module.double().eval()


def with_constant_strength(wanted: float) -> GatedRefinement:
    gated = GatedRefinement(Brighter(), channels=4).double()
    with torch.no_grad():
        gated.strength.output.bias.fill_(torch.logit(torch.tensor(wanted / 2, dtype=torch.float64)))
    return gated


@pytest.mark.parametrize("strength", [0.01, 0.4, 1.0, 1.7])
def test_the_change_is_taken_as_far_as_the_strength_says(strength: float) -> None:
    video = clip()
    torch.testing.assert_close(with_constant_strength(strength)(video, video), video + strength * 0.25)


def test_untrained_it_is_its_body() -> None:
    body = awake(MultiScaleRefinement(shuffle=2, channels=[8, 16], blocks=1))
    video = clip()
    torch.testing.assert_close(GatedRefinement(body, channels=8).double()(video, -video), body(video, -video))


def test_where_nothing_was_changed_nothing_changes() -> None:
    gated, video = awake(GatedRefinement(NoRefinement(), channels=8)), clip()
    assert torch.equal(gated(video, video), video)


def test_the_strength_lies_between_nothing_and_twice_and_differs_by_place_frame_and_clip() -> None:
    strength = awake(Strength(8))(clip(), -clip())
    assert strength.shape == (2, 1, 3, 32, 48)
    assert 0 < strength.min() < strength.max() < 2
    for one, other in (
        (strength[0], strength[1]),
        (strength[:, :, 0], strength[:, :, 2]),
        (strength[..., 0], strength[..., -1]),
    ):
        assert (one - other).abs().max() > 1e-3


def test_the_whole_clip_has_a_say_everywhere() -> None:
    network, video = awake(Strength(8)), clip(5, 128, 128)
    other = video.clone()
    other[:, :, 4, 100:, 100:] = 0  # far away and in another frame
    difference = (network(video, -video) - network(other, -other))[:, :, 0, :16, :16]
    assert difference.abs().min() > 1e-9


def test_it_learns_to_leave_good_footage_alone_and_to_help_bad_footage() -> None:
    torch.manual_seed(0)
    gated = GatedRefinement(Brighter(), channels=8)
    good = torch.rand(4, 3, 1, 32, 32) * 0.5
    bad = torch.rand(4, 3, 1, 32, 32) * 0.5 - 0.75  # dark, and a quarter too dark
    degraded, clean = torch.cat([good, bad]), torch.cat([good, bad + 0.25])
    optimizer = torch.optim.Adam(gated.parameters(), lr=3e-3)
    for _ in range(150):
        optimizer.zero_grad()
        (gated(degraded, degraded) - clean).square().mean().backward()
        optimizer.step()
    with torch.no_grad():
        strength = gated.strength(degraded + 0.25, degraded).mean(dim=(1, 2, 3, 4))
    assert strength[:4].max() < 0.1
    assert strength[4:].min() > 0.9


def test_sizes_must_suit_body_and_strength() -> None:
    assert GatedRefinement(MultiScaleRefinement(4, [8, 8, 8, 8], 1), 4).spatial_multiple == 32
    assert GatedRefinement(NoRefinement(), 4).spatial_multiple == STRIDE == 16
    with pytest.raises(ValueError, match="multiples of 24 pixels"):
        GatedRefinement(Columns(), 4)
    with pytest.raises(ValueError, match=r"refinement\.channels must be at least 1"):
        Strength(0)
