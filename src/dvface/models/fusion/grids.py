"""Bringing the prior's places and the backbone's together."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from dvface.contracts import Grid, PriorSide


def resample(side: PriorSide, grid: Grid) -> Tensor:
    """The side's entries on the backbone's grid, bilinear within each latent frame: (B·T', H'·W', C)."""
    maps = rearrange(side.tokens, "b t h w c -> (b t) c h w")
    maps = functional.interpolate(maps, size=(grid.height, grid.width), mode="bilinear", align_corners=False)
    return rearrange(maps, "n c h w -> n (h w) c")


def places(height: int, width: int, row_step: float, column_step: float, like: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns (height·width each) of cell centres, in units of the backbone's tokens."""
    rows = (torch.arange(height, device=like.device) + 0.5) * row_step
    columns = (torch.arange(width, device=like.device) + 0.5) * column_step
    row_grid, column_grid = torch.meshgrid(rows, columns, indexing="ij")
    return row_grid.flatten(), column_grid.flatten()


def rotate(features: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Rotary position embedding (arXiv 2104.09864) in two dimensions: half the channels by row, half by column.

    Args:
        features: (N, heads, L, C), C a multiple of 4.
        rows: (L,) positions.
        columns: (L,) positions.
    """
    quarter = features.shape[-1] // 4
    frequencies = 100.0 ** (-torch.arange(quarter, device=features.device) / quarter)
    angles = torch.cat([rows[:, None] * frequencies, columns[:, None] * frequencies], dim=1)
    even, odd = features.unflatten(-1, (-1, 2)).unbind(-1)
    cosine, sine = angles.cos().to(features.dtype), angles.sin().to(features.dtype)
    return torch.stack([even * cosine - odd * sine, even * sine + odd * cosine], dim=-1).flatten(-2)
