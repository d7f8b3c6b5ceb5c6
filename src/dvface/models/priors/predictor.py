"""The transformer that reads degraded features and says which entries the clean clip would have chosen."""

from einops import rearrange
from torch import Tensor, nn

from dvface.models.priors.layers import SelfAttention, position_encoding


class TransformerLayer(nn.Module):
    """Pre-norm self-attention and feed-forward, both residual; (N, L, C) to the same shape."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(dim), nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim)
        )

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        tokens = tokens + self.attention(self.attention_norm(tokens))
        return tokens + self.feed_forward(tokens)


class CodePredictor(nn.Module):
    """T_s or T_t of Figure 2(b): attention within each latent frame, then a score for every entry.

    Per-frame attention, width 256, feed-forward of twice the width and 9 layers are BFVR-STC's; DVFace's own
    numbers are unpublished.

    Args:
        dim: channels C of the features.
        depth: transformer layers.
        heads: attention heads.
        outputs: the quantizer's ``outputs``, a score for each entry.
    """

    def __init__(self, dim: int, depth: int, heads: int, outputs: int) -> None:
        super().__init__()
        # Differences of frames are far smaller than position encodings; unscaled they would drown in them.
        self.input = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, dim))
        self.layers = nn.Sequential(*(TransformerLayer(dim, heads) for _ in range(depth)))
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, outputs))

    def forward(self, features: Tensor) -> Tensor:
        """(B, T', h, w, C) to scores (B, T', h, w, outputs)."""
        batch, _, height, width, dim = features.shape
        tokens = self.input(rearrange(features, "b t h w c -> (b t) (h w) c"))
        tokens = tokens + position_encoding(height, width, dim, like=tokens)
        scores = self.head(self.layers(tokens))
        return rearrange(scores, "(b t) (h w) k -> b t h w k", b=batch, h=height)
