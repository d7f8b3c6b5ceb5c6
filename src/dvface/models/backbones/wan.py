"""The Wan video diffusion transformer, with a fusion before each block."""

from collections.abc import Callable, Sequence
from typing import Any

from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from dvface.contracts import LatentLayout, PriorFeatures
from dvface.models.backbones.base import Backbone
from dvface.models.backbones.one_step import OneStep
from dvface.models.backbones.patches import Patches
from dvface.models.backbones.text import TextCondition
from dvface.models.zero import zero


class WanBackbone(Backbone):
    """diffusers' Wan2.1 transformer, of any size, as a one-step restorer.

    Args:
        patch_size: latent frames (1), rows and columns of one token.
        token_dim: channels D of a token, a multiple of 2·heads: channels turn in pairs.
        heads: attention heads.
        layers: blocks N.
        feed_forward_dim: hidden channels of each block's feed-forward.
        zero_output: start with a zero output layer, so that the untrained backbone is the identity; for
            training from scratch.
        text: the fixed text embedding.
        one_step: how the velocity becomes restored latents, and at which timestep.
        fusions: makes the fusions of all blocks.
        layout: of the latents.

    Raises:
        ValueError: ``patch_size`` is no such patch, or ``token_dim`` no multiple of 2·heads.
    """

    transformer: Any  # diffusers types its submodules loosely

    def __init__(
        self,
        patch_size: Sequence[int],
        token_dim: int,
        heads: int,
        layers: int,
        feed_forward_dim: int,
        zero_output: bool,
        text: TextCondition,
        one_step: OneStep,
        fusions: Callable[..., nn.ModuleList],
        layout: LatentLayout,
    ) -> None:
        super().__init__(one_step, layout)
        if heads < 1 or token_dim % (2 * heads):
            raise ValueError(f"token_dim {token_dim} is no multiple of 2·heads = {2 * heads}")
        self.patches = Patches(patch_size)
        self.spatial_multiple = self.patches.spatial_multiple
        self.transformer = WanTransformer3DModel(
            patch_size=self.patches.size,
            num_attention_heads=heads,
            attention_head_dim=token_dim // heads,
            in_channels=layout.channels,
            out_channels=layout.channels,
            text_dim=text.dim,
            ffn_dim=feed_forward_dim,
            num_layers=layers,
        )
        if zero_output:
            zero(self.transformer.proj_out)
        self.text = text
        self.fusions = fusions(blocks=layers)

    @property
    def blocks(self) -> nn.ModuleList:  # type: ignore[override]  # they belong to diffusers' network
        """See the base class."""
        return self.transformer.blocks

    def predict(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """The velocity v(z, t), (B, latent_channels, T', h, w).

        The loop over diffusers' own submodules replaces its ``forward`` so that the fusion stands where the
        paper draws it, before each block; without fusion both give the same bits (tested).
        """
        wan = self.transformer
        batch = latents.shape[0]
        grid = self.patches.grid(latents)
        rotary = wan.rope(latents)
        tokens = wan.patch_embedding(latents).flatten(2).transpose(1, 2).contiguous()
        time, modulation, text, _ = wan.condition_embedder(
            latents.new_full((batch,), self.one_step.timestep), self.text(batch), None
        )
        modulation = modulation.unflatten(1, (6, -1))

        def step(tokens: Tensor, fusion: nn.Module, block: nn.Module) -> Tensor:
            return block(fusion(tokens, prior, grid), text, modulation, rotary)

        for fusion, block in zip(self.fusions, wan.blocks, strict=True):
            tokens = self.run_block(step, tokens, fusion, block)
        shift, scale = (wan.scale_shift_table + time.unsqueeze(1)).chunk(2, dim=1)
        tokens = wan.proj_out((wan.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens))
        return self.patches.join(tokens, grid)
