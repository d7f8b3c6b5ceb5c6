"""RetinaFace's network, and how the numbers it gives become pixels."""

from functools import lru_cache
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

Body = Literal["mobilenet0.25", "resnet50"]

_STRIDES = (8, 16, 32)
_ANCHOR_SIDES = ((16, 32), (64, 128), (256, 512))
"""Pixels, for each stride."""

_CENTRE_UNIT, _SIZE_UNIT = 0.1, 0.2
"""What the numbers of places and of the logarithms of sizes are multiplied by; SSD's variances (Liu et al. 2016)."""


class Predictions(NamedTuple):
    """What the network says of each of A anchors, in the order of `anchors`.

    Attributes:
        faces: (N, A) probabilities that a face is there.
        boxes: (N, A, 4) for `boxes_in_pixels`.
        landmarks: (N, A, 10) for `landmarks_in_pixels`.
    """

    faces: Tensor
    boxes: Tensor
    landmarks: Tensor


class RetinaFaceNetwork(nn.Module):
    """RetinaFace without its mesh branch (Deng et al. 2019, arXiv 1905.00641), untrained.

    Layout and parameter names are those of biubug6's Pytorch_Retinaface, whose files facexlib distributes.

    Args:
        body: "mobilenet0.25" (0.4 million parameters) or "resnet50" (27 million).
    """

    def __init__(self, body: Body) -> None:
        super().__init__()
        self.body: nn.Module
        if body == "mobilenet0.25":
            self.body, widths, width = _MobileNet(), (64, 128, 256), 64
        else:
            self.body, widths, width = _resnet50(), (512, 1024, 2048), 256
        self.fpn = _Pyramid(widths, width)
        self.ssh1, self.ssh2, self.ssh3 = (_Context(width) for _ in _STRIDES)
        self.ClassHead, self.BboxHead, self.LandmarkHead = (
            nn.ModuleList(_Head(width, numbers, len(sides)) for sides in _ANCHOR_SIDES) for numbers in (2, 4, 10)
        )

    def forward(self, frames: Tensor) -> Predictions:
        """Look at ``frames``: (N, 3, H, W) BGR in [0, 255] less the mean; any size."""
        contexts = (self.ssh1, self.ssh2, self.ssh3)
        maps = self.fpn(*self.body(frames).values())
        features = [context(level) for context, level in zip(contexts, maps, strict=True)]
        classes, boxes, landmarks = (
            torch.cat([head(level) for head, level in zip(heads, features, strict=True)], dim=1)
            for heads in (self.ClassHead, self.BboxHead, self.LandmarkHead)
        )
        return Predictions(classes.softmax(dim=2)[..., 1], boxes, landmarks)


@lru_cache(maxsize=4)
def anchors(height: int, width: int) -> Tensor:
    """(A, 3) squares that a frame of that size is looked at through: x and y of the centre, side; pixels.

    Finest stride first, then line by line, the two sizes of one place side by side.
    """
    levels = []
    for stride, sides in zip(_STRIDES, _ANCHOR_SIDES, strict=True):
        # the body rounds halves up
        lines, columns = (torch.arange(-(-length // stride)) for length in (height, width))
        places = ((lines + 0.5) * stride, (columns + 0.5) * stride, torch.tensor(sides, dtype=torch.float32))
        y, x, side = torch.meshgrid(*places, indexing="ij")
        levels.append(torch.stack((x, y, side), dim=-1).reshape(-1, 3))
    return torch.cat(levels)


def boxes_in_pixels(numbers: Tensor, squares: Tensor) -> Tensor:
    """(K, 4) left, top, right, bottom, from the network's (K, 4) for the anchors ``squares`` (K, 3)."""
    centres, sides = squares[:, :2], squares[:, 2:]
    middle = centres + numbers[:, :2] * _CENTRE_UNIT * sides
    half = sides * (numbers[:, 2:] * _SIZE_UNIT).exp() / 2
    return torch.cat((middle - half, middle + half), dim=1)


def landmarks_in_pixels(numbers: Tensor, squares: Tensor) -> Tensor:
    """(K, 5, 2) x, y, from the network's (K, 10) for the anchors ``squares`` (K, 3)."""
    centres, sides = squares[:, None, :2], squares[:, None, 2:]
    return centres + numbers.unflatten(1, (5, 2)) * _CENTRE_UNIT * sides


def _resnet50() -> nn.Module:
    from torchvision.models import resnet50
    from torchvision.models._utils import IntermediateLayerGetter

    return IntermediateLayerGetter(resnet50(), {"layer2": "8", "layer3": "16", "layer4": "32"})


class _MobileNet(nn.Module):
    """MobileNet's depthwise blocks (Howard et al. 2017) at a quarter of its channels; features at three strides."""

    def __init__(self) -> None:
        super().__init__()
        self.stage1 = nn.Sequential(
            _convolved(3, 8, 3, slope=0.1, stride=2),
            *_separable(8, (16, 32, 32, 64, 64), strides=(1, 2, 1, 2, 1)),
        )
        self.stage2 = nn.Sequential(*_separable(64, (128,) * 6, strides=(2, 1, 1, 1, 1, 1)))
        self.stage3 = nn.Sequential(*_separable(128, (256, 256), strides=(2, 1)))

    def forward(self, frames: Tensor) -> dict[str, Tensor]:
        """Features by stride, like torchvision's getter of layers."""
        fine = self.stage1(frames)
        middle = self.stage2(fine)
        return {"8": fine, "16": middle, "32": self.stage3(middle)}


class _Pyramid(nn.Module):
    """Each scale also knows what the coarser ones saw (feature pyramid, Lin et al. 2017)."""

    def __init__(self, widths: tuple[int, int, int], width: int) -> None:
        super().__init__()
        slope = _slope(width)
        self.output1, self.output2, self.output3 = (_convolved(channels, width, 1, slope) for channels in widths)
        self.merge1, self.merge2 = (_convolved(width, width, 3, slope) for _ in range(2))

    def forward(self, fine: Tensor, middle: Tensor, coarse: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(N, C, H, W) at three strides -> the same at one width."""
        fine, middle, coarse = self.output1(fine), self.output2(middle), self.output3(coarse)
        middle = self.merge2(middle + functional.interpolate(coarse, size=middle.shape[2:]))
        fine = self.merge1(fine + functional.interpolate(middle, size=fine.shape[2:]))
        return fine, middle, coarse


class _Context(nn.Module):
    """The surroundings of each place at three widths (SSH, Najibi et al. 2017), large kernels as stacked small ones."""

    def __init__(self, width: int) -> None:
        super().__init__()
        slope, quarter = _slope(width), width // 4
        self.conv3X3 = _convolved(width, width // 2, 3)
        self.conv5X5_1 = _convolved(width, quarter, 3, slope)
        self.conv5X5_2 = _convolved(quarter, quarter, 3)
        self.conv7X7_2 = _convolved(quarter, quarter, 3, slope)
        self.conv7x7_3 = _convolved(quarter, quarter, 3)

    def forward(self, features: Tensor) -> Tensor:
        shared = self.conv5X5_1(features)
        views = (self.conv3X3(features), self.conv5X5_2(shared), self.conv7x7_3(self.conv7X7_2(shared)))
        return functional.relu(torch.cat(views, dim=1))


class _Head(nn.Module):
    """``numbers`` for each anchor of a place: (N, C, H, W) -> (N, H · W · anchors, numbers)."""

    def __init__(self, width: int, numbers: int, anchors_each: int) -> None:
        super().__init__()
        self.numbers = numbers
        self.conv1x1 = nn.Conv2d(width, anchors_each * numbers, kernel_size=1)

    def forward(self, features: Tensor) -> Tensor:
        return self.conv1x1(features).permute(0, 2, 3, 1).reshape(len(features), -1, self.numbers)


def _slope(width: int) -> float:
    """Of the activations below zero: the narrow network leaks."""
    return 0.1 if width <= 64 else 0.0


def _convolved(before: int, after: int, kernel: int, slope: float | None = None, stride: int = 1) -> nn.Sequential:
    """A convolution and its norm; with a ``slope`` also an activation."""
    convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, bias=False)
    activation = [] if slope is None else [nn.LeakyReLU(slope, inplace=True)]
    return nn.Sequential(convolution, nn.BatchNorm2d(after), *activation)


def _separable(before: int, widths: tuple[int, ...], strides: tuple[int, ...]) -> list[nn.Sequential]:
    """A block for each of ``widths``: a filter within each channel, then a mixture of channels."""
    blocks = []
    for width, stride in zip(widths, strides, strict=True):
        within = nn.Conv2d(before, before, 3, stride, padding=1, groups=before, bias=False)
        norm, activation = nn.BatchNorm2d(before), nn.LeakyReLU(0.1, inplace=True)
        blocks.append(nn.Sequential(within, norm, activation, *_convolved(before, width, 1, slope=0.1)))
        before = width
    return blocks
