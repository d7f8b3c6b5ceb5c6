"""Layers that our own backbones share: attention along one axis of the token grid."""

from einops import rearrange
from torch import Tensor, nn

from dvface.contracts import Grid
from dvface.models.priors.layers import SelfAttention, position_encoding


class AxisAttention(nn.Module):
    """Pre-norm self-attention, residual, that is told the places along the axis it mixes.

    Places are added to the attention's input only: the tokens that pass by stay as they are.

    Args:
        dim: channels D, a multiple of ``heads``.
        heads: attention heads.

    Raises:
        ValueError: ``dim`` is no multiple of ``heads``.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        if heads < 1 or dim % heads:
            raise ValueError(f"token_dim {dim} is no multiple of heads {heads}")
        self.norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)

    def attend(self, sequences: Tensor, height: int, width: int) -> Tensor:
        """(N, height·width, D) to the same shape."""
        normal = self.norm(sequences)
        return sequences + self.attention(normal + position_encoding(height, width, normal.shape[-1], like=normal))


class SpaceAttention(AxisAttention):
    """Among the tokens of each latent frame; see `AxisAttention`."""

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """(B, T'·H'·W', D) to the same shape."""
        frames = rearrange(tokens, "b (t n) d -> (b t) n d", t=grid.frames)
        return rearrange(self.attend(frames, grid.height, grid.width), "(b t) n d -> b (t n) d", t=grid.frames)


class TimeAttention(AxisAttention):
    """Among the latent frames at each place; see `AxisAttention`."""

    def forward(self, tokens: Tensor, grid: Grid) -> Tensor:
        """(B, T'·H'·W', D) to the same shape."""
        rows = rearrange(tokens, "b (t n) d -> (b n) t d", t=grid.frames)
        return rearrange(self.attend(rows, grid.frames, 1), "(b n) t d -> b (t n) d", n=grid.height * grid.width)
