"""An invertible wavelet transform: nothing to train, nothing lost, coarse before fine."""

import torch
from torch import Tensor

from dvface.models.autoencoders.base import VideoAutoencoder
from dvface.models.autoencoders.blocks import from_blocks, full_precision, haar_blocks, to_blocks


class HaarAutoencoder(VideoAutoencoder):
    """Orthonormal Haar wavelets over blocks of 2^temporal_levels frames × (2^spatial_levels)² pixels.

    Invertible up to float rounding, so an untrained system built on it is the identity up to that. Channel
    ``3·i + c`` is wavelet i (coarse to fine, see `blocks.haar_blocks`) of colour c, so the first channels alone
    give a coarse picture. Orthonormal means that squared errors of latents are squared errors of pixels; it also
    means that the first three channels are up to √N times a pixel, N samples a block, and the last ones small.
    Causal as `PatchAutoencoder` is: the first frame is repeated to fill a block of its own.

    Args:
        spatial_levels: halvings of height and width; 3 give stride 8.
        temporal_levels: halvings of time; 2 give stride 4.

    Raises:
        ValueError: a number of levels is outside 0…5.
    """

    basis: Tensor

    def __init__(self, spatial_levels: int = 3, temporal_levels: int = 2) -> None:
        super().__init__()
        for name, levels in (("spatial_levels", spatial_levels), ("temporal_levels", temporal_levels)):
            if not 0 <= levels <= 5:
                raise ValueError(f"{name} must be within 0…5, got {levels}")
        self.spatial_stride = 2**spatial_levels
        self.temporal_stride = 2**temporal_levels
        self.latent_channels = 3 * self.temporal_stride * self.spatial_stride**2
        basis = haar_blocks(temporal_levels, spatial_levels).to(torch.get_default_device(), torch.float32)
        self.register_buffer("basis", basis, persistent=False)

    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) to (B, 3·N, T', H/stride, W/stride), N samples a block; see the base class."""
        self.check_fits(video)
        with full_precision(video):
            blocks = to_blocks(video.float(), self.temporal_stride, self.spatial_stride)
            return torch.einsum("bthwcn,kn->bkcthw", blocks, self.basis).flatten(1, 2)

    def decode(self, latents: Tensor) -> Tensor:
        """The inverse of `encode`."""
        with full_precision(latents):
            wavelets = latents.float().unflatten(1, (-1, 3))
            blocks = torch.einsum("bkcthw,kn->bthwcn", wavelets, self.basis)
            return from_blocks(blocks, self.temporal_stride, self.spatial_stride)
