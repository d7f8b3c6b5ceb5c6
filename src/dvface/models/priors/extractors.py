"""What each branch looks for in the encoder's features, before it quantizes."""

import torch
from einops import rearrange
from torch import Tensor, nn

from dvface.models.priors.layers import SelfAttention, group_frames


class AttentionDifference(nn.Module):
    """Temporal features: attention over the frames at each position, then the difference to the frame before.

    The paper's Figure 2(b), "TemporalAttn" and "FrameDiff". Attention carries no position in time, so a static
    clip gives equal frames and its differences vanish; the first frame's difference is zero, as in BFVR-STC.

    Args:
        dim: channels C.
        heads: attention heads.
        temporal_stride: frames a latent frame stands for; differences are summed over them.
    """

    def __init__(self, dim: int, heads: int, temporal_stride: int = 4) -> None:
        super().__init__()
        self.temporal_stride = temporal_stride
        self.norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, h, w, C) encoder features to (B, T', h, w, C)."""
        batch, _, height, width, _ = features.shape
        sequences = rearrange(features, "b t h w c -> (b h w) t c")
        attended = sequences + self.attention(self.norm(sequences))
        frames = rearrange(attended, "(b h w) t c -> b t h w c", b=batch, h=height, w=width)
        differences = torch.diff(frames, dim=1, prepend=frames[:, :1])
        # The sum over a group, not the mean: how far its frames have moved.
        return self.temporal_stride * group_frames(differences, self.temporal_stride)


class LocalEnhancement(nn.Module):
    """Spatial features: convolution, activation, convolution, frame by frame ("Enhance Local", Figure 2b).

    Args:
        dim: channels C.
        temporal_stride: frames a latent frame stands for; features are averaged over them.
    """

    def __init__(self, dim: int, temporal_stride: int = 4) -> None:
        super().__init__()
        self.temporal_stride = temporal_stride
        self.body = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.SiLU(), nn.Conv2d(dim, dim, 3, padding=1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, T, h, w, C) encoder features to (B, T', h, w, C)."""
        grouped = group_frames(features, self.temporal_stride)
        enhanced = self.body(rearrange(grouped, "b t h w c -> (b t) c h w"))
        return rearrange(enhanced, "(b t) c h w -> b t h w c", b=features.shape[0])
