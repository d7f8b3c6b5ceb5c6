"""What each branch looks for in the encoder's features, before it quantizes."""

from abc import ABC, abstractmethod

import torch
from einops import rearrange
from torch import Tensor, nn

from dvface.models.priors.layers import SelfAttention, group_frames


class Extractor(nn.Module, ABC):
    """Encoder features to the features of one branch."""

    @abstractmethod
    def forward(self, features: Tensor, latent_frames: int) -> Tensor:
        """(B, T or T', h, w, C) encoder features to (B, T', h, w, C), T' = ``latent_frames``."""


class FrameAttention(Extractor):
    """Attention over the frames at each position, without positions in time: equal frames stay equal.

    Args:
        dim: channels C.
        heads: attention heads.
    """

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(dim)
        self.attention = SelfAttention(dim, heads)

    def attended(self, features: Tensor) -> Tensor:
        """(B, T, h, w, C) to the same shape."""
        batch, _, height, width, _ = features.shape
        sequences = rearrange(features, "b t h w c -> (b h w) t c")
        frames = sequences + self.attention(self.norm(sequences))
        return rearrange(frames, "(b h w) t c -> b t h w c", b=batch, h=height, w=width)


class AttentionDifference(FrameAttention):
    """Temporal features: attention over the frames at each position, then the difference to the frame before.

    The paper's Figure 2(b), "TemporalAttn" and "FrameDiff". Attention carries no position in time, so a static
    clip gives equal frames and its differences vanish; the first frame's difference is zero, as in BFVR-STC.
    """

    def forward(self, features: Tensor, latent_frames: int) -> Tensor:
        """See the base class."""
        return movement(self.attended(features), latent_frames)


class LocalEnhancement(Extractor):
    """Spatial features: convolution, activation, convolution, frame by frame ("Enhance Local", Figure 2b).

    Frames that one latent frame stands for are averaged first.

    Args:
        dim: channels C.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(dim, dim, 3, padding=1), nn.SiLU(), nn.Conv2d(dim, dim, 3, padding=1))

    def forward(self, features: Tensor, latent_frames: int) -> Tensor:
        """See the base class."""
        grouped = group_frames(features, latent_frames)
        enhanced = self.body(rearrange(grouped, "b t h w c -> (b t) c h w"))
        return rearrange(enhanced, "(b t) c h w -> b t h w c", b=len(features))


def movement(frames: Tensor, latent_frames: int) -> Tensor:
    """How far (B, T, h, w, C) features have moved since the frame before, summed over each latent frame.

    The first frame's difference is zero, as in BFVR-STC; so are all of a static clip's.
    """
    return summed(torch.diff(frames, dim=1, prepend=frames[:, :1]), latent_frames)


def summed(differences: Tensor, latent_frames: int) -> Tensor:
    """(B, T, h, w, C) differences of frames to (B, T', h, w, C): how far each latent frame's frames have moved."""
    grouped = group_frames(differences, latent_frames)
    # The sum over a group, not the mean: how far its frames have moved.
    return grouped * ((differences.shape[1] - 1) // max(1, latent_frames - 1))
