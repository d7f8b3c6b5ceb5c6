"""SPyNet: optical flow from coarse to fine, a small network a level (Ranjan & Black 2017)."""

import re
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from dvface.perception.frozen import Frozen
from dvface.perception.optical_flow import warp
from dvface.weights import read_tensors
from dvface.weights.catalogue import SPYNET_BASICVSR

LEVELS = 6
STRIDE = 2 ** (LEVELS - 1)
"""Sides of what the network is shown are multiples of this, so that each level is exactly half the next."""

CHANNELS = (8, 32, 64, 32, 16, 2)
"""Of a level's convolutions: it reads a frame, the other one warped, and the flow so far; it says what to add."""


class SPyNetFlow(Frozen):
    """SPyNet as BasicVSR (Chan et al. 2021) fine-tuned it for restoration: ImageNet-normalised RGB, 6 levels.

    The flow is what brings the other frame into agreement, which on textureless ground need not be its motion.

    Args:
        weights: a state dict in BasicSR's layout: "mean", "std", "basic_module.LEVEL.basic_module.LAYER.weight";
            by default looked up (`SPYNET_BASICVSR`).

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        path = SPYNET_BASICVSR.find(weights)
        self.name = "spynet"
        self.file_name: str | None = path.name
        self.least_side = 1  # padded inside
        self.register_buffer("mean", torch.zeros(1, 3, 1, 1))
        self.register_buffer("std", torch.ones(1, 3, 1, 1))
        self.levels = nn.ModuleList(_level() for _ in range(LEVELS))
        state = read_tensors(path)
        self.freeze(
            {re.sub(r"^basic_module\.(\d)\.basic_module", r"levels.\1", key): state[key] for key in state}, path
        )

    @torch.no_grad()
    def flow(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FlowEstimator.flow`. Inside, frames are stretched to sides that are multiples of 32 pixels."""
        height, width = first.shape[-2:]
        inside = (-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE)
        flow = self._coarse_to_fine(*(self._pyramid(_stretched(frames, inside)) for frames in (first, second)))
        scale = flow.new_tensor([width / inside[1], height / inside[0]]).view(1, 2, 1, 1)
        return _stretched(flow, (height, width)) * scale

    def _pyramid(self, frames: Tensor) -> list[Tensor]:
        """From the coarsest level to the finest, ImageNet-normalised."""
        levels = [((frames + 1) / 2 - self.mean) / self.std]
        while len(levels) < LEVELS:
            levels.insert(0, functional.avg_pool2d(levels[0], kernel_size=2))
        return levels

    def _coarse_to_fine(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        flow = first[0].new_zeros(len(first[0]), 2, *first[0].shape[-2:])
        for level, one, other in zip(self.levels, first, second, strict=True):
            if level is not self.levels[0]:
                flow = 2 * functional.interpolate(flow, scale_factor=2, mode="bilinear", align_corners=True)
            flow = flow + level(torch.cat([one, warp(other, flow), flow], dim=1))
        return flow


def _level() -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(CHANNELS):
        layers += [nn.Conv2d(before, after, kernel_size=7, padding=3), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def _stretched(values: Tensor, size: tuple[int, int]) -> Tensor:
    if values.shape[-2:] == size:
        return values
    return functional.interpolate(values, size=size, mode="bilinear", align_corners=False)
