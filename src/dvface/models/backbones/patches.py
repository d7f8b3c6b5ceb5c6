"""Latents as a row of tokens and back."""

from collections.abc import Sequence
from math import lcm

from einops import rearrange
from torch import Tensor

from dvface.contracts import Grid


class Patches:
    """Cuts latents into patches, one a token.

    Args:
        size: latent frames, rows and columns of one patch; one frame, since the prior speaks of each.

    Attributes:
        size: the same, as a tuple.
        spatial_multiple: height and width of the latents must be multiples of this.

    Raises:
        ValueError: ``size`` is not [1, rows, columns], all positive.
    """

    def __init__(self, size: Sequence[int]) -> None:
        if len(size) != 3 or size[0] != 1 or min(size) < 1:
            raise ValueError(f"patch_size must be [1, rows, columns], got {list(size)}")
        self.size = tuple(size)
        self.spatial_multiple = lcm(*self.size[1:])

    def grid(self, latents: Tensor) -> Grid:
        """Where the tokens of latents (B, C, T', h, w) stand."""
        frames, height, width = latents.shape[2:]
        return Grid(frames, height // self.size[1], width // self.size[2])

    def join(self, tokens: Tensor, grid: Grid) -> Tensor:
        """Tokens (B, T'·H'·W', rows·columns·C) to latents (B, C, T', h, w)."""
        return rearrange(
            tokens,
            "b (t h w) (q r c) -> b c t (h q) (w r)",
            t=grid.frames,
            h=grid.height,
            q=self.size[1],
            r=self.size[2],
        )


def to_frames(latents: Tensor) -> Tensor:
    """Latents (B, C, T', h, w) to single frames (B·T', C, h, w)."""
    return rearrange(latents, "b c t h w -> (b t) c h w")


def to_latents(frames: Tensor, count: int) -> Tensor:
    """The inverse of `to_frames`, for ``count`` = T' frames a clip."""
    return rearrange(frames, "(b t) c h w -> b c t h w", t=count)


def frames_to_tokens(frames: Tensor, grid: Grid) -> Tensor:
    """(B·T', D, H', W') to (B, T'·H'·W', D)."""
    return rearrange(frames, "(b t) d h w -> b (t h w) d", t=grid.frames)


def tokens_to_frames(tokens: Tensor, grid: Grid) -> Tensor:
    """The inverse of `frames_to_tokens`."""
    return rearrange(tokens, "b (t h w) d -> (b t) d h w", t=grid.frames, h=grid.height)
