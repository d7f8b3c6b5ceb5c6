"""The Wan video diffusion transformer, with a fusion before each block."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from einops import rearrange
from torch import Tensor, nn

from dvface.contracts import Grid, PriorFeatures
from dvface.models.backbones.base import Backbone
from dvface.models.fusion.injections import zero


class WanBackbone(Backbone):
    """diffusers' Wan2.1 transformer as a one-step restorer: ẑ = z - v(z, t) at one fixed t.

    The unit step and t = 400 are VividFace's (arXiv 2509.23584), the closest published relative on the same
    backbone; DVFace's own are unpublished. The text condition is one null token of zeros: the text encoder is
    never needed.

    Args:
        latent_channels: channels of the latents.
        patch_size: latent frames, rows and columns of one token.
        token_dim: channels D of a token, a multiple of ``heads``.
        heads: attention heads.
        layers: blocks N.
        feed_forward_dim: hidden channels of each block's feed-forward.
        text_dim: channels of the text embedding.
        timestep: the fixed t, in 0…1000.
        zero_output: start with a zero output layer, so that the untrained backbone is the identity; for
            training from scratch.
        fusion: makes the fusion of one block.
    """

    transformer: Any  # diffusers types its submodules loosely
    text: Tensor

    def __init__(
        self,
        latent_channels: int,
        patch_size: Sequence[int],
        token_dim: int,
        heads: int,
        layers: int,
        feed_forward_dim: int,
        text_dim: int,
        timestep: float,
        zero_output: bool,
        fusion: Callable[[], nn.Module],
    ) -> None:
        super().__init__()
        if token_dim % heads:
            raise ValueError(f"token_dim {token_dim} is no multiple of heads {heads}")
        self.latent_channels = latent_channels
        self.timestep = timestep
        self.patch_size = tuple(patch_size)
        self.spatial_multiple = max(self.patch_size[1:])
        self.transformer = WanTransformer3DModel(
            patch_size=self.patch_size,
            num_attention_heads=heads,
            attention_head_dim=token_dim // heads,
            in_channels=latent_channels,
            out_channels=latent_channels,
            text_dim=text_dim,
            ffn_dim=feed_forward_dim,
            num_layers=layers,
        )
        if zero_output:
            zero(self.transformer.proj_out)
        self.fusions = nn.ModuleList(fusion() for _ in range(layers))
        self.register_buffer("text", torch.zeros(1, 1, text_dim))

    def forward(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """(B, latent_channels, T', h, w) to the same shape.

        The loop over diffusers' own submodules replaces its ``forward`` so that the fusion stands where the
        paper draws it, before each block; without fusion both give the same bits (tested).
        """
        wan = self.transformer
        batch = latents.shape[0]
        grid = Grid(*(size // patch for size, patch in zip(latents.shape[2:], self.patch_size, strict=True)))
        rotary = wan.rope(latents)
        tokens = wan.patch_embedding(latents).flatten(2).transpose(1, 2).contiguous()
        time, modulation, text, _ = wan.condition_embedder(
            latents.new_full((batch,), self.timestep), self.text.expand(batch, -1, -1), None
        )
        modulation = modulation.unflatten(1, (6, -1))
        for fusion, block in zip(self.fusions, wan.blocks, strict=True):
            tokens = block(fusion(tokens, prior, grid), text, modulation, rotary)
        shift, scale = (wan.scale_shift_table + time.unsqueeze(1)).chunk(2, dim=1)
        tokens = wan.proj_out((wan.norm_out(tokens.float()) * (1 + scale) + shift).type_as(tokens))
        velocity = rearrange(
            tokens,
            "b (t h w) (p q r c) -> b c (t p) (h q) (w r)",
            t=grid.frames,
            h=grid.height,
            p=self.patch_size[0],
            q=self.patch_size[1],
            r=self.patch_size[2],
        )
        return latents - velocity
