"""A learned autoencoder that a CPU can train."""

import torch
from torch import Tensor, nn

from dvface.models.autoencoders.base import VideoAutoencoder
from dvface.models.autoencoders.blocks import repeat_first
from dvface.models.autoencoders.frames import FrameNetwork, JoinFrames, MemoryBlock, SplitFrames, convolution


class LightAutoencoder(VideoAutoencoder):
    """Two-dimensional convolutions with a one-frame memory, stride 8 in space and 4 in time.

    Made for speed: pixels enter and leave by 4×4 shuffles, so nothing is computed at more than a quarter of the
    height and width, and half of the blocks work on joined frames. Causal in both directions: the first frame is
    repeated to fill a group of its own, memory reaches one step back and never forward.

    Each latent vector is divided by its root mean square over the channels, which holds latents at unit scale
    before, during and after training. Statistics over batches would do it per channel, but they make a clip's
    latents depend on other clips in training, and differ between training and use.

    Args:
        latent_channels: channels of the latents.
        width: channels at a quarter of height and width; twice as many at an eighth.

    Raises:
        ValueError: an argument is below 1.
    """

    spatial_stride = 8
    temporal_stride = 4

    def __init__(self, latent_channels: int, width: int) -> None:
        super().__init__()
        for name, value in (("latent_channels", latent_channels), ("width", width)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, got {value}")
        self.latent_channels = latent_channels
        self.encoder = FrameNetwork(
            nn.PixelUnshuffle(4),
            convolution(3 * 4**2, width),
            MemoryBlock(width),
            JoinFrames(width, 2),
            convolution(width, 2 * width, stride=2),
            MemoryBlock(2 * width),
            JoinFrames(2 * width, 2),
            MemoryBlock(2 * width),
            convolution(2 * width, latent_channels),
        )
        self.decoder = FrameNetwork(
            convolution(latent_channels, 2 * width),
            MemoryBlock(2 * width),
            SplitFrames(2 * width, 2),
            MemoryBlock(2 * width),
            convolution(2 * width, 2**2 * width),
            nn.PixelShuffle(2),
            SplitFrames(width, 2),
            MemoryBlock(width),
            convolution(width, 3 * 4**2),
            nn.PixelShuffle(4),
        )

    def encode(self, video: Tensor) -> Tensor:
        """See the base class; each latent vector has root mean square 1."""
        self.check_fits(video)
        latents = self.encoder(repeat_first(video, self.temporal_stride)).float()
        return latents * torch.rsqrt(latents.square().mean(dim=1, keepdim=True) + 1e-6)

    def decode(self, latents: Tensor) -> Tensor:
        """See the base class. The first frame is the last of its group, which the memory prepared."""
        return self.decoder(latents)[:, :, self.temporal_stride - 1 :]

    def unfreeze_decoder(self) -> None:
        """See the base class."""
        self.requires_grad_(False)
        self.decoder.requires_grad_(True)
