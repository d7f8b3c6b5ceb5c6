"""Wan2.1's video VAE, through diffusers."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from dvface.models.autoencoders.base import VideoAutoencoder

# Wan2.1's own statistics of its 16 latent channels; diffusers has them as its configuration's defaults.


class WanAutoencoder(VideoAutoencoder):
    """diffusers' ``AutoencoderKLWan`` of any size: stride 8 in space, 4 in time, causal.

    Latents are the posterior's mean (encoding is deterministic), normalised by the statistics that the VAE
    carries, which diffusers leaves to its caller.

    Args:
        base_dim: channels of the first level; 96 in Wan2.1.
        latent_channels: channels of the latents; 16 in Wan2.1.
        multipliers: channels of each level as multiples of ``base_dim``.
        blocks: residual blocks a level.
        mean: of each latent channel; None takes Wan2.1's.
        deviation: of each latent channel; None takes Wan2.1's.
    """

    network: Any  # diffusers types its submodules loosely
    spatial_stride = 8
    temporal_stride = 4

    def __init__(
        self,
        base_dim: int,
        latent_channels: int,
        multipliers: Sequence[int],
        blocks: int,
        mean: Sequence[float] | None = None,
        deviation: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.latent_channels = latent_channels
        statistics = {"latents_mean": mean, "latents_std": deviation}
        self.network = AutoencoderKLWan(
            base_dim=base_dim,
            z_dim=latent_channels,
            dim_mult=list(multipliers),
            num_res_blocks=blocks,
            temperal_downsample=[False, True, True],
            **{name: list(values) for name, values in statistics.items() if values is not None},
        )
        for name in statistics:
            count = len(self.network.config[name])
            if count != latent_channels:
                raise ValueError(f"{name} has {count} numbers for {latent_channels} latent channels; give that many")

    def encode(self, video: Tensor) -> Tensor:
        """See the base class."""
        self.check_fits(video)
        mean, deviation = self._statistics(video)
        return (self._clean(self.network.encode, video).latent_dist.mode() - mean) / deviation

    def decode(self, latents: Tensor) -> Tensor:
        """See the base class. Unlike diffusers' own output it is not clamped beyond what diffusers does."""
        mean, deviation = self._statistics(latents)
        return self._clean(self.network.decode, latents * deviation + mean).sample

    def unfreeze_decoder(self) -> None:
        """See the base class."""
        self.network.decoder.requires_grad_(True)
        self.network.post_quant_conv.requires_grad_(True)

    def _clean(self, work: Any, tensor: Tensor) -> Any:
        """Run ``work`` and leave no frames in the caches that diffusers keeps, whatever happens."""
        try:
            return work(tensor)
        finally:
            self.network.clear_cache()

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.network.config
        mean, deviation = (
            torch.tensor(values, device=like.device, dtype=torch.float32).view(1, -1, 1, 1, 1)
            for values in (config["latents_mean"], config["latents_std"])
        )
        return mean, deviation
