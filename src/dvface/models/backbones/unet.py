"""A small U-Net: convolutions within each latent frame, frames mixed at the bottom."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from dvface.contracts import Grid, LatentLayout, PriorFeatures
from dvface.models.backbones.base import Backbone
from dvface.models.backbones.layers import TimeAttention
from dvface.models.backbones.one_step import OneStep
from dvface.models.backbones.patches import frames_to_tokens, to_frames, to_latents, tokens_to_frames
from dvface.models.priors.layers import ResidualBlock
from dvface.models.zero import zero


class Bottleneck(nn.Module):
    """A fusion, a residual block within each frame, attention in time at each place.

    Args:
        token_dim: channels D, a multiple of 8 and of ``heads``.
        heads: attention heads.
    """

    def __init__(self, token_dim: int, heads: int) -> None:
        super().__init__()
        self.space = ResidualBlock(token_dim)
        self.time = TimeAttention(token_dim, heads)

    def forward(self, tokens: Tensor, fusion: nn.Module, prior: PriorFeatures, grid: Grid) -> Tensor:
        """(B, T'·H'·W', D) to the same shape."""
        frames = tokens_to_frames(fusion(tokens, prior, grid), grid)
        return self.time(frames_to_tokens(self.space(frames), grid), grid)


class Level(nn.Module):
    """One resolution: what goes down from it, and what comes back up to it beside the skip.

    Args:
        channels: of this resolution, a multiple of 8.
        below: channels of the next, half as high and half as wide.
    """

    def __init__(self, channels: int, below: int) -> None:
        super().__init__()
        self.encode = ResidualBlock(channels)
        self.shrink = nn.Conv2d(channels, below, 3, stride=2, padding=1)
        self.grow = nn.Conv2d(below, channels, 3, padding=1)
        self.merge = nn.Conv2d(2 * channels, channels, 1)
        self.decode = ResidualBlock(channels)

    def down(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, channels, H, W) to the skip, of the same shape, and (N, below, H/2, W/2)."""
        skip = self.encode(features)
        return skip, self.shrink(skip)

    def up(self, features: Tensor, skip: Tensor) -> Tensor:
        """(N, below, H/2, W/2) and the skip to (N, channels, H, W)."""
        grown = self.grow(functional.interpolate(features, scale_factor=2.0, mode="nearest"))
        return self.decode(self.merge(torch.cat([grown, skip], dim=1)))


class UNetBackbone(Backbone):
    """The U-Net of restoration networks (arXiv 1505.04597), with the prior fused before each bottleneck block.

    Timestep and text never change in one-step restoration, so it has neither. The zero output layer makes the
    untrained backbone the identity.

    Args:
        channels: of each resolution above the bottleneck, finest first; multiples of 8.
        token_dim: channels D of the bottleneck, a multiple of 8 and of ``heads``.
        heads: attention heads of the bottleneck.
        layers: bottleneck blocks N.
        one_step: how the output becomes restored latents; its timestep is not used.
        fusions: makes the fusions of the bottleneck.
        layout: of the latents.

    Raises:
        ValueError: ``channels`` is empty, channels are no multiples of 8, or ``token_dim`` none of ``heads``.
    """

    def __init__(
        self,
        channels: Sequence[int],
        token_dim: int,
        heads: int,
        layers: int,
        one_step: OneStep,
        fusions: Callable[..., nn.ModuleList],
        layout: LatentLayout,
    ) -> None:
        super().__init__(one_step, layout)
        if not channels or any(number < 8 or number % 8 for number in (*channels, token_dim)):
            raise ValueError(
                f"backbone.channels must name at least one resolution and, as token_dim, be multiples of 8; "
                f"got {list(channels)} and {token_dim}"
            )
        self.spatial_multiple = 2 ** len(channels)
        self.input = nn.Conv2d(layout.channels, channels[0], 3, padding=1)
        self.levels = nn.ModuleList(
            Level(own, below) for own, below in zip(channels, (*channels[1:], token_dim), strict=True)
        )
        self.blocks = nn.ModuleList(Bottleneck(token_dim, heads) for _ in range(layers))
        self.fusions = fusions(blocks=layers)
        self.output = nn.Sequential(
            nn.GroupNorm(8, channels[0]), nn.SiLU(), zero(nn.Conv2d(channels[0], layout.channels, 3, padding=1))
        )

    def predict(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """See the base class."""
        features = self.input(to_frames(latents))
        skips = []
        for level in self.levels:
            assert isinstance(level, Level)
            skip, features = level.down(features)
            skips.append(skip)
        grid = Grid(latents.shape[2], *features.shape[2:])
        tokens = frames_to_tokens(features, grid)
        for fusion, block in zip(self.fusions, self.blocks, strict=True):
            tokens = self.run_block(block, tokens, fusion, prior, grid)
        features = tokens_to_frames(tokens, grid)
        for level, skip in zip(reversed(self.levels), reversed(skips), strict=True):
            assert isinstance(level, Level)
            features = level.up(features, skip)
        return to_latents(self.output(features), grid.frames)
