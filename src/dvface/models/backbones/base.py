"""What every backbone offers."""

from abc import ABC, abstractmethod
from collections.abc import Callable

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

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
        blocks: what the work is divided into.
        fusions: one a block.
        gradient_checkpointing: recompute blocks in the backward pass instead of keeping them; set by training.
    """

    latent_channels: int
    spatial_multiple: int
    blocks: nn.ModuleList
    fusions: nn.ModuleList
    gradient_checkpointing: bool = False

    def __init__(self, one_step: OneStep, layout: LatentLayout) -> None:
        super().__init__()
        self.one_step = one_step
        self.latent_channels = layout.channels

    @abstractmethod
    def predict(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """What the network says about (B, latent_channels, T', h, w), in the same shape."""

    def unfreeze(self) -> None:
        """Let learn what this backbone trains: everything, unless it is a variant that trains little."""
        self.requires_grad_(True)

    def forward(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """(B, latent_channels, T', h, w) to the same shape.

        Raises:
            ValueError: h or w is no multiple of ``spatial_multiple``.
        """
        height, width = latents.shape[3:]
        if height % self.spatial_multiple or width % self.spatial_multiple:
            raise ValueError(f"{height}×{width} latents are no multiple of the backbone's {self.spatial_multiple}")
        return self.one_step(latents, self.predict(latents, prior))

    def run_block(self, block: Callable[..., Tensor], *inputs: object) -> Tensor:
        """``block(*inputs)``, under gradient checkpointing where training asked for it."""
        if self.gradient_checkpointing and self.training:
            recomputed: Tensor = checkpoint(block, *inputs, use_reentrant=False)
            return recomputed
        return block(*inputs)
