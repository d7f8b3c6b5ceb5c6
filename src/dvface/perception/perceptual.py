"""Perceptual distances between frames: LPIPS and its shift-tolerant twin, frozen and differentiable."""

import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from dvface.perception.frozen import Frozen
from dvface.weights import read_tensors
from dvface.weights.catalogue import (
    ALEXNET_IMAGENET,
    LPIPS_HEADS_ALEX,
    LPIPS_HEADS_VGG,
    STLPIPS_ALEX,
    STLPIPS_VGG,
    VGG16_IMAGENET,
)

Network = Literal["alex", "vgg"]
Stages = list[list[nn.Module]]

SHIFT_TOLERANT_WEIGHTS = {"alex": STLPIPS_ALEX, "vgg": STLPIPS_VGG}
BACKBONE_WEIGHTS = {"alex": ALEXNET_IMAGENET, "vgg": VGG16_IMAGENET}
HEAD_WEIGHTS = {"alex": LPIPS_HEADS_ALEX, "vgg": LPIPS_HEADS_VGG}


class FrameDistance(Frozen, ABC):
    """A frozen network that says how different two frames look.

    Attributes:
        file_name: of its pretrained file.
        least_side: pixels that frames need along each side.
    """

    file_name: str
    least_side: int = 1

    @abstractmethod
    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """Distances (N,), 0 for equal frames, differentiable in both inputs.

        Args:
            first: (N, 3, H, W) RGB in [-1, 1].
            second: the same.
        """

    def steps(self, pieces: Sequence[Tensor]) -> Tensor:
        """Distances of frames in a row, each from the one before it: (N - 1,) of N.

        Args:
            pieces: the frames, at least one, (n, 3, H, W) RGB in [-1, 1] each; as many as are to be looked at at once.
        """
        frames = torch.cat(list(pieces))
        distances: Tensor = self(frames[:-1], frames[1:])
        return distances


class PerceptualNetwork(FrameDistance):
    """A trunk whose unit-length features at five depths are compared and weighted (Zhang et al. 2018, eq. 1).

    Args:
        stages: the trunk's layers; the features after each stage are compared.
        widths: channels after each stage.
    """

    least_side = 32
    shift: Tensor
    scale: Tensor

    def __init__(self, stages: Stages, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.Sequential(*chain.from_iterable(stages))
        self.stage_ends = set(accumulate(map(len, stages)))
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, kernel_size=1, bias=False) for width in widths)
        # ImageNet's mean and deviation, moved from [0, 1] to [-1, 1]
        self.register_buffer("shift", torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1))
        self.register_buffer("scale", torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1))

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FrameDistance`; frames of at least 32 × 32 pixels."""
        return self._distance(self._features(first), self._features(second))

    def steps(self, pieces: Sequence[Tensor]) -> Tensor:
        """See `FrameDistance`; every frame goes through the trunk once."""
        found = []
        before: list[Tensor] = []
        for frames in pieces:
            features = self._features(frames)
            joined = [torch.cat(both) for both in zip(before, features, strict=True)] if before else features
            found.append(self._distance([each[:-1] for each in joined], [each[1:] for each in joined]))
            before = [each[-1:] for each in features]
        return torch.cat(found)

    def _distance(self, first: list[Tensor], second: list[Tensor]) -> Tensor:
        distance = first[0].new_zeros(len(first[0]))
        for head, one, other in zip(self.heads, first, second, strict=True):
            distance = distance + head((one - other).square()).mean(dim=(1, 2, 3))
        return distance

    def _features(self, frames: Tensor) -> list[Tensor]:
        hidden = (frames - self.shift) / self.scale
        features = []
        for position, layer in enumerate(self.layers, start=1):
            hidden = layer(hidden)
            if position in self.stage_ends:
                # a position where no channel fires has length 0; it stays 0
                features.append(functional.normalize(hidden, dim=1, eps=1e-10))
        return features


class ShiftTolerantLPIPS(PerceptualNetwork):
    """Shift-tolerant LPIPS (Ghildyal & Liu 2022), trunk and heads whole from one file.

    Args:
        network: "alex" or "vgg".
        weights: the authors' state dict; by default looked up (`SHIFT_TOLERANT_WEIGHTS`).

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    least_side = 24

    def __init__(self, network: Network = "alex", weights: str | Path | None = None) -> None:
        if network == "alex":
            stem = [nn.Conv2d(3, 64, kernel_size=11, padding=2), Blur(64), nn.ReLU()]
            super().__init__(_alexnet(stem, _blurred_pool(3)), ALEXNET_WIDTHS)
        else:
            super().__init__(vgg16_stages(_blurred_pool(2)), VGG16_WIDTHS)
        path = SHIFT_TOLERANT_WEIGHTS[network].find(weights)
        self.file_name = path.name
        state = {re.sub(r"^scaling_layer\.", "", key): value for key, value in read_tensors(path).items()}
        state = {re.sub(r"^net\.slice\d\.", "layers.", key): value for key, value in state.items()}
        self.freeze(_with_heads(state), path)


class LPIPS(PerceptualNetwork):
    """LPIPS 0.1 (Zhang et al. 2018): an ImageNet trunk in torchvision's layout, the authors' linear heads.

    Args:
        network: "alex" or "vgg".
        weights: the trunk's state dict; by default looked up (`BACKBONE_WEIGHTS`).

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the trunk, or the heads that torchmetrics carries, cannot be had.
    """

    def __init__(self, network: Network = "alex", weights: str | Path | None = None) -> None:
        if network == "alex":
            stem = [nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2), nn.ReLU()]
            super().__init__(_alexnet(stem, lambda width: [nn.MaxPool2d(3, stride=2)]), ALEXNET_WIDTHS)
        else:
            super().__init__(vgg16_stages(lambda width: [nn.MaxPool2d(2, stride=2)]), VGG16_WIDTHS)
        path = BACKBONE_WEIGHTS[network].find(weights)
        self.file_name = path.name
        trunk = {key: value for key, value in read_tensors(path).items() if key.startswith("features.")}
        state = {key.replace("features.", "layers."): value for key, value in trunk.items()}
        heads = read_tensors(HEAD_WEIGHTS[network].find())
        self.freeze({**_with_heads(heads), **state, "shift": self.shift, "scale": self.scale}, path)


class Blur(nn.Module):
    """Binomial blur (1, 2, 1) and halving over a reflected border of 2 pixels (anti-aliasing, Zhang 2019)."""

    filt: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("filt", torch.zeros(channels, 1, 3, 3))

    def forward(self, frames: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/2 + 1, W/2 + 1), halves rounded up."""
        padded = functional.pad(frames, (2, 2, 2, 2), mode="reflect")
        return functional.conv2d(padded, self.filt, stride=2, groups=frames.shape[1])


Pool = Callable[[int], list[nn.Module]]
ALEXNET_WIDTHS = (64, 192, 384, 256, 256)
VGG16_WIDTHS = (64, 128, 256, 512, 512)


def _blurred_pool(size: int) -> Pool:
    return lambda width: [nn.MaxPool2d(size, stride=1), Blur(width)]


def _alexnet(stem: list[nn.Module], pool: Pool) -> Stages:
    return [
        stem,
        [*pool(64), nn.Conv2d(64, 192, kernel_size=5, padding=2), nn.ReLU()],
        [*pool(192), nn.Conv2d(192, 384, kernel_size=3, padding=1), nn.ReLU()],
        [nn.Conv2d(384, 256, kernel_size=3, padding=1), nn.ReLU()],
        [nn.Conv2d(256, 256, kernel_size=3, padding=1), nn.ReLU()],
    ]


def vgg16_stages(pool: Pool) -> Stages:
    """VGG-16's convolutions (Simonyan & Zisserman 2015) in torchvision's order, ``pool`` before all but the first.

    Args:
        pool: the layers that halve a map of so many channels. Where it gives one, positions are torchvision's.
    """
    stages: Stages = []
    channels = 3
    for width, convolutions in zip(VGG16_WIDTHS, (2, 2, 3, 3, 3), strict=True):
        stage = pool(channels) if stages else []
        for _ in range(convolutions):
            stage += [nn.Conv2d(channels, width, kernel_size=3, padding=1), nn.ReLU()]
            channels = width
        stages.append(stage)
    return stages


def _with_heads(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {re.sub(r"^lin(\d)\.model\.1\.", r"heads.\1.", key): value for key, value in state.items()}
