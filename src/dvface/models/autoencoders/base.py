"""What every video autoencoder offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from dvface.contracts import LatentLayout, latent_frames


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

    @property
    def layout(self) -> LatentLayout:
        """What the latents look like."""
        return LatentLayout(self.latent_channels, self.spatial_stride, self.temporal_stride)

    @abstractmethod
    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] to normalised latents (B, latent_channels, T', H/stride, W/stride).

        Raises:
            ValueError: T is not ``temporal_stride``·k+1, or H or W no multiple of ``spatial_stride``.
        """

    @abstractmethod
    def decode(self, latents: Tensor) -> Tensor:
        """Latents (B, latent_channels, T', h, w) to video (B, 3, T, H, W); not clamped to [-1, 1]."""

    def unfreeze_decoder(self) -> None:
        """Let the decoder learn and nothing else.

        Raises:
            ValueError: it has nothing to learn.
        """
        raise ValueError(f"{type(self).__name__} has no decoder that could learn; say train_decoder=false")

    def check_fits(self, video: Tensor) -> None:
        """Refuse a clip whose frames or pixels an autoencoder would silently drop.

        Raises:
            ValueError: see `encode`.
        """
        frames, height, width = video.shape[2:]
        latent_frames(frames, self.temporal_stride)
        if height % self.spatial_stride or width % self.spatial_stride:
            raise ValueError(f"{height}×{width} frames are no multiple of {self.spatial_stride} pixels")
