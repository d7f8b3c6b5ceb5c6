"""A linear autoencoder: the principal components of space-time blocks."""

import torch
from torch import Tensor

from dvface.models.autoencoders.base import VideoAutoencoder
from dvface.models.autoencoders.blocks import from_blocks, full_precision, haar_blocks, to_blocks

SMALLEST_DEVIATION = 1e-4
"""Components that vary less are scaled as if they varied so; a 40th of one step of 8-bit video."""


class PrincipalAutoencoder(VideoAutoencoder):
    """An orthonormal map of 8×8×4 blocks of colour video to their leading principal components.

    Among all linear maps to so many channels the one with the least squared error (Pearson 1901), once
    `fit` has seen the statistics; `dvface.training.principal_stage.PrincipalStage` gathers them. Until then it
    is a stand-in that knows no data: zero mean, the coarsest Haar wavelets, no scaling. Basis, mean and
    deviations are buffers and travel with the checkpoint.

    Causal as `PatchAutoencoder` is: the first frame is repeated to fill a block of its own. Such still blocks are
    fitted together with the moving ones, because they are what the map has to encode.

    Args:
        channels: components to keep, at most 768, the samples of a block.

    Raises:
        ValueError: ``channels`` is out of range.
    """

    spatial_stride = 8
    temporal_stride = 4
    samples = 3 * 4 * 8 * 8
    basis: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        if not 1 <= channels <= self.samples:
            raise ValueError(f"channels must be 1 to {self.samples}, the samples of a block, got {channels}")
        self.latent_channels = channels
        wavelets = haar_blocks(temporal_levels=2, spatial_levels=3)[: -(-channels // 3)]
        # Row 3·i + c is wavelet i of colour c.
        basis = torch.einsum("kn,cd->kcdn", wavelets, torch.eye(3, dtype=wavelets.dtype, device="cpu"))
        basis = basis.reshape(-1, self.samples)[:channels]
        self.register_buffer("basis", basis.to(torch.get_default_device(), torch.float32))
        self.register_buffer("mean", torch.zeros(self.samples))
        self.register_buffer("deviation", torch.ones(channels))

    def blocks(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) to (B, T', H/8, W/8, 768), the blocks that are mapped."""
        return to_blocks(video, self.temporal_stride, self.spatial_stride).flatten(-2)

    def fit(self, mean: Tensor, covariance: Tensor) -> None:
        """Take the basis from the statistics of blocks.

        Args:
            mean: (768,) float64.
            covariance: (768, 768) float64.
        """
        variances, vectors = torch.linalg.eigh(covariance)  # ascending
        basis = vectors.flip(-1).T[: self.latent_channels]
        # An eigenvector's sign is arbitrary: its largest number is made positive.
        largest = basis.gather(1, basis.abs().argmax(dim=1, keepdim=True))
        self.basis.copy_(basis * largest.sign())
        self.mean.copy_(mean)
        deviation = variances.flip(-1)[: self.latent_channels].clamp(min=0).sqrt()
        self.deviation.copy_(deviation.clamp(min=SMALLEST_DEVIATION))

    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) to (B, channels, T', H/8, W/8), each channel of unit variance on what was fitted."""
        self.check_fits(video)
        with full_precision(video):
            components = (self.blocks(video.float()) - self.mean) @ self.basis.T / self.deviation
        return components.movedim(-1, 1)

    def decode(self, latents: Tensor) -> Tensor:
        """The nearest blocks that the components can say; the inverse of `encode` if all 768 are kept."""
        with full_precision(latents):
            blocks = (latents.float().movedim(1, -1) * self.deviation) @ self.basis + self.mean
            return from_blocks(blocks.unflatten(-1, (3, -1)), self.temporal_stride, self.spatial_stride)
