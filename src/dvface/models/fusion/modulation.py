"""Injections that tell all tokens of a latent frame, or of a clip, the same: scale and shift from the pooled side."""

from abc import abstractmethod
from typing import Literal

from einops import rearrange
from torch import Tensor, nn

from dvface.contracts import Grid, PriorFeatures, PriorSide
from dvface.models.fusion.base import Injection, check_not_empty
from dvface.models.zero import zero


class PooledInjection(Injection):
    """γ and β from the pooled side by a "Zero MLP": its zero last layer makes both 0 at initialisation.

    Args:
        token_dim: channels D of the backbone's tokens.
        prior_dim: channels C of the side.
        pooling: ``frame`` pools over h × w and keeps time, ``clip`` pools over time too. The paper says
            "Pooling" only.
    """

    def __init__(self, token_dim: int, prior_dim: int, pooling: Literal["frame", "clip"] = "frame") -> None:
        super().__init__()
        self.pooling = pooling
        self.to_scale_shift = nn.Sequential(
            nn.LayerNorm(prior_dim),
            nn.Linear(prior_dim, prior_dim),
            nn.SiLU(),
            nn.Linear(prior_dim, 2 * token_dim),
        )
        zero(self.to_scale_shift[-1])

    @abstractmethod
    def modulate(self, frames: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """Tokens (B, T', H'·W', D), γ and β (B, T' or 1, 1, D), to tokens."""

    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """See the base class."""
        check_not_empty(side, "modulation")
        pooled = side.tokens.mean(dim=(2, 3))
        if self.pooling == "clip":
            pooled = pooled.mean(dim=1, keepdim=True)
        scale, shift = self.to_scale_shift(pooled)[:, :, None].chunk(2, dim=-1)
        frames = rearrange(tokens, "b (t n) d -> b t n d", t=grid.frames)
        return rearrange(self.modulate(frames, scale, shift), "b t n d -> b (t n) d")


class Modulation(PooledInjection):
    """Scale and shift: x ← (1+γ)⊙x + β (Figure 2c, upper half); see `PooledInjection` for the arguments.

    The figure also draws the original x around the box to an addition; taken literally that doubles x at
    initialisation and breaks a pretrained backbone, so the skip is read as the "1+".
    """

    def modulate(self, frames: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """See the base class."""
        return frames * (1 + scale) + shift


class AdaptiveNorm(PooledInjection):
    """Adaptive layer norm: x ← x + γ⊙LN(x) + β; see `PooledInjection` for the arguments.

    `Modulation` scales the tokens as they are; here γ scales what a norm without weights of its own makes of
    them, so that the injection has the same strength however large a block's tokens have grown. The norm is the
    one by which diffusion transformers are conditioned (DiT, arXiv 2212.09748), as a residual.
    """

    def __init__(self, token_dim: int, prior_dim: int, pooling: Literal["frame", "clip"] = "frame") -> None:
        super().__init__(token_dim, prior_dim, pooling)
        self.norm = nn.LayerNorm(token_dim, elementwise_affine=False)

    def modulate(self, frames: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
        """See the base class."""
        # Autocast norms in float32; the tokens keep their own type.
        return frames + (scale * self.norm(frames) + shift).type_as(frames)
