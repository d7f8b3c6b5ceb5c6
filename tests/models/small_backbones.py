"""Small backbones and what goes into them."""

from functools import cache

import pytest
import torch
from torch import Tensor, nn

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.contracts import LatentLayout, PriorFeatures, PriorSide
from dvface.models.backbones.base import Backbone

LAYOUT = LatentLayout(channels=6, spatial_stride=8, temporal_stride=4)
SMALL = [
    "size.token_dim=32",
    "size.prior_dim=16",
    "text.dim=8",
    "backbone.heads=2",
    "backbone.layers=3",
]
OWN = {
    "wan_small": ["backbone.feed_forward_dim=32"],
    "wan_lora": ["backbone.feed_forward_dim=32", "backbone.rank=2"],
    "plain": ["backbone.feed_forward_dim=32"],
    "unet": ["backbone.channels=[8]"],
}
"""The backbones that are small already, and what makes them smaller; `wan` is Wan2.1's full size."""

every_backbone = pytest.mark.parametrize("name", OWN)
with_patches = pytest.mark.parametrize("name", ["wan_small", "wan_lora", "plain"])


@cache
def compose(name: str, *overrides: str) -> TrainSettings:
    return check(resolve(load("train", [f"backbone={name}", *SMALL, *OWN[name], *overrides])))


def make(name: str, *overrides: str) -> Backbone:
    return build(compose(name, *overrides).backbone)(layout=LAYOUT)


def perturb(module: nn.Module) -> None:
    """Take every zero-initialised layer away from zero, as training would."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def side(batch: int, frames: int) -> PriorSide:
    tokens = torch.randn(batch, frames, 3, 5, 16)
    return PriorSide(tokens, tokens.new_zeros(*tokens.shape[:4], 1, 8), torch.zeros(*tokens.shape[:4], 1).long())


def prior(batch: int = 2, frames: int = 3) -> PriorFeatures:
    return PriorFeatures(side(batch, frames), side(batch, frames))


def latents(batch: int = 2, frames: int = 3, height: int = 4, width: int = 6) -> Tensor:
    return torch.randn(batch, LAYOUT.channels, frames, height, width)


def gradients(backbone: Backbone, given_latents: Tensor, given_prior: PriorFeatures) -> dict[str, Tensor | None]:
    backbone.zero_grad()
    backbone(given_latents, given_prior).pow(2).mean().backward()
    return {name: parameter.grad for name, parameter in backbone.named_parameters()}
