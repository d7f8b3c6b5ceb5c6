"""Wan2.1's video VAE, built from diffusers' parts."""

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d
from torch import Tensor, nn

from dvface.models.autoencoders.base import VideoAutoencoder


class WanAutoencoder(VideoAutoencoder):
    """diffusers' ``AutoencoderKLWan`` of any size: stride 8 in space, 4 in time, causal.

    Latents are the posterior's mean (encoding is deterministic), normalised by the statistics that the VAE
    carries, which diffusers leaves to its caller. The network's parts are called one by one with caches of our
    own: diffusers' ``encode`` and ``decode`` keep theirs in the network, where an exception leaves frames behind,
    and ``decode`` clamps, which hides overshoot from losses and stops its gradient.

    Args:
        base_dim: channels of the first level; 96 in Wan2.1.
        latent_channels: channels of the latents; 16 in Wan2.1.
        multipliers: channels of each of the four levels as multiples of ``base_dim``.
        blocks: residual blocks a level.
        mean: of each latent channel; None takes Wan2.1's.
        deviation: of each latent channel; None takes Wan2.1's.

    Raises:
        ValueError: ``multipliers`` are not four, or ``mean`` or ``deviation`` do not fit.
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
        if len(multipliers) != 4:
            raise ValueError(f"multipliers must be four numbers, got {list(multipliers)}")
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
        for argument, name in (("mean", "latents_mean"), ("deviation", "latents_std")):
            count = len(self.network.config[name])
            if count != latent_channels:
                raise ValueError(f"{argument} must have {latent_channels} numbers, one a latent channel, got {count}")
        if min(self.network.config["latents_std"]) <= 0:
            raise ValueError(f"deviation must be above 0, got {min(self.network.config['latents_std'])}")

    def encode(self, video: Tensor) -> Tensor:
        """See the base class."""
        self.check_fits(video)
        groups = video.split([1] + [self.temporal_stride] * (video.shape[2] // self.temporal_stride), dim=2)
        cache = _empty_cache(self.network.encoder)
        moments = [self.network.encoder(group, feat_cache=cache, feat_idx=[0]) for group in groups]
        mode, _ = self.network.quant_conv(torch.cat(moments, dim=2)).chunk(2, dim=1)
        mean, deviation = self._statistics(video)
        return (mode - mean) / deviation

    def decode(self, latents: Tensor) -> Tensor:
        """See the base class."""
        mean, deviation = self._statistics(latents)
        groups = self.network.post_quant_conv(latents * deviation + mean).split(1, dim=2)
        cache = _empty_cache(self.network.decoder)
        frames = [
            self.network.decoder(group, feat_cache=cache, feat_idx=[0], first_chunk=number == 0)
            for number, group in enumerate(groups)
        ]
        return torch.cat(frames, dim=2)

    def unfreeze_decoder(self) -> None:
        """See the base class."""
        self.requires_grad_(False)
        self.network.decoder.requires_grad_(True)
        self.network.post_quant_conv.requires_grad_(True)

    def _statistics(self, like: Tensor) -> tuple[Tensor, Tensor]:
        config = self.network.config
        mean, deviation = (
            torch.tensor(values, device=like.device, dtype=torch.float32).view(1, -1, 1, 1, 1)
            for values in (config["latents_mean"], config["latents_std"])
        )
        return mean, deviation


def _empty_cache(part: nn.Module) -> list[Any]:
    """One place for each causal convolution, where it keeps the frames that it will need again."""
    return [None for module in part.modules() if isinstance(module, WanCausalConv3d)]
