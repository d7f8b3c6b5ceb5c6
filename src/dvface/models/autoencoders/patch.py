"""An invertible space-time transform: nothing to train, nothing lost."""

from einops import rearrange
from torch import Tensor

from dvface.models.autoencoders.base import VideoAutoencoder
from dvface.models.autoencoders.blocks import from_blocks, to_blocks


class PatchAutoencoder(VideoAutoencoder):
    """Moves each block of ``temporal_stride`` frames × ``spatial_stride``² pixels into the channels.

    A permutation of the samples, hence orthonormal and exactly invertible, so an untrained system built on it
    is the identity. Causal as the Wan VAE is: the first frame forms a latent frame alone (repeated to fill its
    block, and read back as the mean of its copies), then frames follow in groups of ``temporal_stride``.

    Args:
        spatial_stride: side of a block in pixels.
        temporal_stride: frames of a block.
    """

    def __init__(self, spatial_stride: int = 8, temporal_stride: int = 4) -> None:
        super().__init__()
        self.spatial_stride = spatial_stride
        self.temporal_stride = temporal_stride
        self.latent_channels = 3 * temporal_stride * spatial_stride**2

    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) to (B, 3·temporal_stride·spatial_stride², T', H/stride, W/stride); see the base class."""
        self.check_fits(video)
        blocks = to_blocks(video, self.temporal_stride, self.spatial_stride)
        return rearrange(blocks, "b t h w c n -> b (c n) t h w")

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode`."""
        blocks = rearrange(latents, "b (c n) t h w -> b t h w c n", c=3)
        return from_blocks(blocks, self.temporal_stride, self.spatial_stride)
