"""Layers that the prior's parts share."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional


class ResidualBlock(nn.Module):
    """Norm-SiLU-conv twice, added to its input; (N, C, H, W) to the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, channels, 3, padding=1),
        )

    def forward(self, features: Tensor) -> Tensor:
        """(N, C, H, W) to (N, C, H, W)."""
        return features + self.body(features)


class SelfAttention(nn.Module):
    """Multi-head attention among the tokens of a sequence; (N, L, C) to the same shape, not residual."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.input = nn.Linear(dim, 3 * dim)
        self.output = nn.Linear(dim, dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        query, key, value = rearrange(
            self.input(tokens), "n l (three heads c) -> three n heads l c", three=3, heads=self.heads
        )
        attended = functional.scaled_dot_product_attention(query, key, value)
        return self.output(rearrange(attended, "n heads l c -> n l (heads c)"))


def position_encoding(height: int, width: int, dim: int, like: Tensor) -> Tensor:
    """Sinusoidal encoding of rows and columns, (height·width, dim), on the device and of the type of ``like``.

    Half the channels encode the row, half the column, at wavelengths from 2π to about 1000·2π positions, so
    that any frame size is served without learned tables.
    """
    quarter = dim // 4
    frequencies = 1000.0 ** (-torch.arange(quarter, device=like.device, dtype=torch.float32) / quarter)

    def encode(length: int) -> Tensor:
        angles = torch.arange(length, device=like.device, dtype=torch.float32)[:, None] * frequencies
        return torch.cat([angles.sin(), angles.cos()], dim=1)

    rows = encode(height)[:, None].expand(-1, width, -1)
    columns = encode(width)[None].expand(height, -1, -1)
    grid = torch.cat([rows, columns], dim=-1).reshape(height * width, -1)
    return functional.pad(grid, (0, dim - grid.shape[1])).to(like.dtype)


def group_frames(features: Tensor, latent_frames: int) -> Tensor:
    """(B, T, h, w, C) to (B, T', h, w, C): the first frame alone, then means of equal groups of the rest.

    The grouping is the Wan VAE's, so that prior and latents speak of the same frames. Features that stand on
    latent frames already (T = T') stay as they are.
    """
    if features.shape[1] == latent_frames:
        return features
    rest = rearrange(features[:, 1:], "b (t p) h w c -> b t p h w c", t=latent_frames - 1).mean(dim=2)
    return torch.cat([features[:, :1], rest], dim=1)
