"""What happens to decoded frames last."""

from abc import ABC, abstractmethod

import torch
from einops import rearrange
from torch import Tensor, nn

from dvface.models.priors.layers import ResidualBlock
from dvface.models.zero import zero


class Refinement(nn.Module, ABC):
    """Decoded frames to restored frames, knowing the degraded ones.

    Attributes:
        spatial_multiple: height and width must be multiples of this, in pixels.
    """

    spatial_multiple: int = 1

    @abstractmethod
    def forward(self, decoded: Tensor, degraded: Tensor) -> Tensor:
        """(B, 3, T, H, W) twice to (B, 3, T, H, W)."""


class NoRefinement(Refinement):
    """Decoded frames are the restored frames, as in the paper."""

    def forward(self, decoded: Tensor, degraded: Tensor) -> Tensor:
        """The decoded frames, untouched."""
        return decoded


class ConvolutionRefinement(Refinement):
    """A few convolutions across block borders, for autoencoders made of blocks that do not overlap.

    Decoded blocks of an invertible `patch` autoencoder do not know their neighbours, which shows as a pattern
    once a perceptual loss is on. The zero last layer makes it the identity at initialisation.

    Args:
        channels: a multiple of 8.
        blocks: residual blocks.
    """

    spatial_multiple = 2

    def __init__(self, channels: int, blocks: int) -> None:
        super().__init__()
        # Half resolution in the channels: four times as fast, and nothing is lost.
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(24, channels, 3, padding=1),
            *(ResidualBlock(channels) for _ in range(blocks)),
            nn.SiLU(),
        )
        self.output = zero(nn.Conv2d(channels, 12, 3, padding=1))
        self.shuffle = nn.PixelShuffle(2)

    def forward(self, decoded: Tensor, degraded: Tensor) -> Tensor:
        """See the base class."""
        frames = rearrange(torch.cat([decoded, degraded], dim=1), "b c t h w -> (b t) c h w")
        residual = self.shuffle(self.output(self.body(frames)))
        return decoded + rearrange(residual, "(b t) c h w -> b c t h w", b=decoded.shape[0])
