"""What every backbone offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from dvface.contracts import PriorFeatures


class Backbone(nn.Module, ABC):
    """Degraded latents to restored latents in one step: fixed timestep, no noise, fixed text embedding.

    Attributes:
        latent_channels: channels of the latents it reads and writes.
        spatial_multiple: height and width of the latents must be multiples of this.
    """

    latent_channels: int
    spatial_multiple: int

    @abstractmethod
    def forward(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """(B, latent_channels, T', h, w) to the same shape."""
