"""From a clip's latents to the features that both branches read."""

from einops import rearrange
from torch import Tensor, nn

from dvface.contracts import LatentLayout, Views
from dvface.models.priors.encoder import PriorEncoder
from dvface.models.priors.layers import ResidualBlock


class LatentEncoder(PriorEncoder):
    """Residual convolutions on the autoencoder's latents, latent frame by latent frame, at their resolution.

    Features stand on latent frames already, so motion within a latent frame is known only as far as the
    autoencoder kept it.

    Args:
        channels: of the residual blocks, a multiple of 8.
        blocks: residual blocks.
        dim: channels C of the output.
        layout: of the latents.

    Raises:
        ValueError: ``channels`` is no multiple of 8.
    """

    def __init__(self, channels: int, blocks: int, dim: int, layout: LatentLayout) -> None:
        super().__init__()
        if channels < 8 or channels % 8:
            raise ValueError(f"channels must be a multiple of 8, got {channels}")
        self.spatial_stride = layout.spatial_stride
        self.body = nn.Sequential(
            nn.Conv2d(layout.channels, channels, 3, padding=1),
            *(ResidualBlock(channels) for _ in range(blocks)),
            nn.GroupNorm(8, channels),
            nn.SiLU(),
            nn.Conv2d(channels, dim, 1),
        )

    def forward(self, views: Views) -> Tensor:
        """Latents to (B, T', H/stride, W/stride, C)."""
        latents = views.latents
        features = self.body(rearrange(latents, "b c t h w -> (b t) c h w"))
        return rearrange(features, "(b t) c h w -> b t h w c", b=len(latents))
