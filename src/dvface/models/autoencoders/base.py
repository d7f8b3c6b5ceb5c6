"""What every video autoencoder offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class VideoAutoencoder(nn.Module, ABC):
    """Pixels to latents and back, causal in time.

    Attributes:
        spatial_stride: pixels that one latent position stands for, along height and along width.
        temporal_stride: frames that one latent frame stands for, except the first, which stands for one.
        latent_channels: channels of the latents.
    """

    spatial_stride: int
    temporal_stride: int
    latent_channels: int

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] to normalised latents (B, latent_channels, T', H/stride, W/stride).

        Raises:
            ValueError: T is not ``temporal_stride``·k+1, or H or W no multiple of ``spatial_stride``.
        """

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, latent_channels, T', h, w) to video (B, 3, T, H, W); not clamped to [-1, 1]."""
