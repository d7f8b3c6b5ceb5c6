"""The injection by which tokens look for entries themselves."""

from typing import Literal

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from dvface.contracts import Grid, PriorFeatures, PriorSide
from dvface.models.fusion.base import Injection, check_not_empty
from dvface.models.fusion.grids import places, resample, rotate
from dvface.models.zero import zero


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

    Raises:
        ValueError: ``width`` is no multiple of 4·heads.
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
        if heads < 1 or width < 1 or width % (4 * heads):
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
        check_not_empty(side, "cross attention")
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
        return resample(source, grid)
