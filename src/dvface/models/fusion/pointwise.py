"""Injections that give each token the entry at its own place, resampled to the backbone's grid."""

import torch
from einops import rearrange
from torch import Tensor, nn

from dvface.contracts import Grid, PriorFeatures, PriorSide
from dvface.models.fusion.base import Injection, check_not_empty
from dvface.models.fusion.grids import resample
from dvface.models.zero import zero


class Addition(Injection):
    """x ← x + W f: the plainest fusion, a zero-initialised linear layer of the entry at the token's place.

    Args:
        token_dim: channels D of the backbone's tokens.
        prior_dim: channels C of the side.
    """

    def __init__(self, token_dim: int, prior_dim: int) -> None:
        super().__init__()
        self.output = zero(nn.Linear(prior_dim, token_dim))

    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """See the base class."""
        check_not_empty(side, "addition")
        return tokens + rearrange(self.output(resample(side, grid)), "(b t) n d -> b (t n) d", t=grid.frames)


class Concatenation(Injection):
    """x ← x + MLP([LN(x), LN(f)]): token and entry side by side through a perceptron with a zero last layer.

    Unlike `Addition` it can let the token decide what to take of the entry.

    Args:
        token_dim: channels D of the backbone's tokens.
        prior_dim: channels C of the side.
        width: hidden channels.
    """

    def __init__(self, token_dim: int, prior_dim: int, width: int) -> None:
        super().__init__()
        self.token_norm = nn.LayerNorm(token_dim)
        self.prior_norm = nn.LayerNorm(prior_dim)
        self.hidden = nn.Sequential(nn.Linear(token_dim + prior_dim, width), nn.GELU())
        self.output = zero(nn.Linear(width, token_dim))

    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """See the base class."""
        check_not_empty(side, "concatenation")
        entries = rearrange(resample(side, grid), "(b t) n c -> b (t n) c", t=grid.frames)
        both = torch.cat([self.token_norm(tokens), self.prior_norm(entries)], dim=-1)
        return tokens + self.output(self.hidden(both))
