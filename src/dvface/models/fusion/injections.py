"""One family of injections; a fusion is made of two, one for each side of the prior."""

from abc import ABC, abstractmethod
from typing import Literal

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from dvface.contracts import Grid, PriorFeatures, PriorSide
from dvface.models.zero import zero


class Injection(nn.Module, ABC):
    """Brings one side of the prior into the backbone's tokens; exactly the identity at initialisation."""

    @abstractmethod
    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """Inject ``side`` into ``tokens``.

        Args:
            tokens: (B, T'·H'·W', D), the backbone's.
            side: the side to inject, on the same latent frames as ``grid``; its h × w may differ.
            prior: both sides, for injections that ask one side about the other.
            grid: where the tokens stand.

        Returns:
            (B, T'·H'·W', D).
        """


class NoInjection(Injection):
    """Leaves the side out."""

    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """The tokens, untouched."""
        return tokens


class Modulation(Injection):
    """Scale and shift: x ← (1+γ)⊙x + β with (γ, β) from the pooled side (Figure 2c, upper half).

    The figure also draws the original x around the box to an addition; taken literally that doubles x at
    initialisation and breaks a pretrained backbone, so the skip is read as the "1+".

    Args:
        token_dim: channels D of the backbone's tokens.
        prior_dim: channels C of the side.
        pooling: ``frame`` pools over h × w and keeps time, ``clip`` pools over time too. The paper says
            "Pooling" only.
    """

    def __init__(self, token_dim: int, prior_dim: int, pooling: Literal["frame", "clip"] = "frame") -> None:
        super().__init__()
        self.pooling = pooling
        # "Zero MLP": the zero last layer makes γ = β = 0 at initialisation.
        self.to_scale_shift = nn.Sequential(
            nn.LayerNorm(prior_dim),
            nn.Linear(prior_dim, prior_dim),
            nn.SiLU(),
            nn.Linear(prior_dim, 2 * token_dim),
        )
        zero(self.to_scale_shift[-1])

    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """See the base class."""
        _check_not_empty(side, "modulation")
        pooled = side.tokens.mean(dim=(2, 3))
        if self.pooling == "clip":
            pooled = pooled.mean(dim=1, keepdim=True)
        scale, shift = self.to_scale_shift(pooled)[:, :, None].chunk(2, dim=-1)
        frames = rearrange(tokens, "b (t n) d -> b t n d", t=grid.frames)
        return rearrange(frames * (1 + scale) + shift, "b t n d -> b (t n) d")


class CrossAttention(Injection):
    """Attention of each latent frame's tokens to the same frame's entries (Figure 2c, lower half).

    Keys and values are the side's entries. The figure wires W_q to a box labelled f_t but coloured as the
    spatial prior, so whether the queries are the backbone's tokens or the temporal prior is open: ``query``.
    Queries and keys are rotated by their place in the frame (2-D rotary position embedding), so that a token
    can find the entries around it; the figure is silent on positions.

    Args:
        token_dim: channels D of the backbone's tokens.
        prior_dim: channels C of the side (and of the side named by ``query``).
        width: channels of queries, keys and values, a multiple of 4·heads; full width in every block would
            not fit the paper's parameter count.
        heads: attention heads.
        query: ``tokens``, or the side whose entries ask: ``temporal`` or ``spatial``.
    """

    def __init__(
        self,
        token_dim: int,
        prior_dim: int,
        width: int,
        heads: int,
        query: Literal["tokens", "temporal", "spatial"] = "tokens",
    ) -> None:
        super().__init__()
        if width % (4 * heads):
            raise ValueError(f"width {width} is no multiple of 4·heads = {4 * heads}")
        self.query = query
        self.heads = heads
        query_dim = token_dim if query == "tokens" else prior_dim
        self.query_norm = nn.LayerNorm(query_dim)
        self.prior_norm = nn.LayerNorm(prior_dim)
        self.to_query = nn.Linear(query_dim, width)
        self.to_key_value = nn.Linear(prior_dim, 2 * width)
        self.output = zero(nn.Linear(width, token_dim))

    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """See the base class.

        Raises:
            ValueError: the side is empty, or the queries should come from a side that is empty.
        """
        _check_not_empty(side, "cross attention")
        asking = self._asking(tokens, prior, grid)
        height, width = side.tokens.shape[2:4]
        entries = rearrange(side.tokens, "b t h w c -> (b t) (h w) c")
        key, value = self.to_key_value(self.prior_norm(entries)).chunk(2, dim=-1)
        query, key, value = (
            rearrange(part, "n l (heads c) -> n heads l c", heads=self.heads)
            for part in (self.to_query(self.query_norm(asking)), key, value)
        )
        query = rotate(query, *places(grid.height, grid.width, 1.0, 1.0, like=query))
        key = rotate(key, *places(height, width, grid.height / height, grid.width / width, like=key))
        attended = functional.scaled_dot_product_attention(query, key, value)
        injected = self.output(rearrange(attended, "n heads l c -> n l (heads c)"))
        return tokens + rearrange(injected, "(b t) n d -> b (t n) d", t=grid.frames)

    def _asking(self, tokens: Tensor, prior: PriorFeatures, grid: Grid) -> Tensor:
        """The queries' source as (B·T', H'·W', channels)."""
        if self.query == "tokens":
            return rearrange(tokens, "b (t n) d -> (b t) n d", t=grid.frames)
        source: PriorSide = getattr(prior, self.query)
        if source.channels == 0:
            raise ValueError(f"the queries of the cross attention come from the {self.query} prior, which is none")
        maps = rearrange(source.tokens, "b t h w c -> (b t) c h w")
        maps = functional.interpolate(maps, size=(grid.height, grid.width), mode="bilinear", align_corners=False)
        return rearrange(maps, "n c h w -> n (h w) c")


def _check_not_empty(side: PriorSide, injection: str) -> None:
    if side.channels == 0:
        raise ValueError(f"the prior has no such side for the {injection} to inject; choose none for it in the fusion")


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
