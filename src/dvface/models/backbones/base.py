"""What every backbone offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from dvface.contracts import LatentLayout, PriorFeatures
from dvface.models.backbones.one_step import OneStep


class Backbone(nn.Module, ABC):
    """Degraded latents to restored latents in one step: fixed timestep, no noise, fixed text embedding.

    Every backbone takes ``layout``, what the latents look like, as its last argument.

    Args:
        one_step: how the network's output becomes restored latents.
        layout: of the latents.

    Attributes:
        latent_channels: channels of the latents it reads and writes.
        spatial_multiple: height and width of the latents must be multiples of this.
        gradient_checkpointing: recompute blocks in the backward pass instead of keeping them; set by training.
    """

    latent_channels: int
    spatial_multiple: int
    gradient_checkpointing: bool = False

    def __init__(self, one_step: OneStep, layout: LatentLayout) -> None:
        super().__init__()
        self.one_step = one_step
        self.latent_channels = layout.channels

    @property
    def fusions(self) -> nn.ModuleList:
        """The fusions, one a block."""
        raise NotImplementedError

    @abstractmethod
    def predict(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """What the network says about (B, latent_channels, T', h, w), in the same shape."""

    def unfreeze(self) -> None:
        """Let learn what this backbone trains: everything, unless it is a variant that trains little."""
        self.requires_grad_(True)

    def forward(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """(B, latent_channels, T', h, w) to the same shape."""
        return self.one_step(latents, self.predict(latents, prior))
