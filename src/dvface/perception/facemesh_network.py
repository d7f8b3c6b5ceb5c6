"""MediaPipe's face mesh network: its layers alone, untrained."""

from itertools import pairwise
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional

SIDE = 192
"""Pixels along each side of the faces that the network knows."""

POINTS = 468
"""Points of the mesh."""

_WIDTHS = (16, 32, 64, 128, 128)
"""Channels of each stage of the trunk; every stage but the first begins by halving the sides."""


class MeshOutput(NamedTuple):
    """What the network says of N faces.

    Attributes:
        points: (N, 468, 3) x, y and depth in pixels of the 192 × 192 input, its corner being 0.
        presence: (N,) logit: whether there is a face at all.
    """

    points: Tensor
    presence: Tensor


class FaceMeshNetwork(nn.Module):
    """The 468-point network of Kartynnik et al. 2019 (arXiv 1907.06724), as MediaPipe ships it.

    Residual blocks of BlazeFace (Bazarevsky et al. 2019) without batch norms, which are folded into the
    convolutions. Parameter names are those of MediaPipePyTorch's ``blazeface_landmark.pth``.
    """

    def __init__(self) -> None:
        super().__init__()
        first = _WIDTHS[0]
        trunk: list[nn.Module] = [nn.Conv2d(3, first, kernel_size=3, stride=2), nn.PReLU(first)]
        trunk += [_Block(first, first), _Block(first, first)]
        for before, width in pairwise(_WIDTHS):
            trunk += [_Block(before, width, halve=True), _Block(width, width), _Block(width, width)]
        self.backbone1 = nn.Sequential(*trunk)
        last = _WIDTHS[-1]
        self.backbone2a = nn.Sequential(
            _Block(last, last, halve=True), _Block(last, last), _Block(last, last), *_head(last, POINTS * 3)
        )
        self.backbone2b = nn.Sequential(_Block(last, last, halve=True), *_head(last, 1))

    def forward(self, faces: Tensor) -> MeshOutput:
        """(N, 3, 192, 192) RGB in [0, 1]."""
        # TensorFlow's "same" padding of an even side at stride 2: all of it behind
        features = self.backbone1(functional.pad(faces, (0, 1, 0, 1)))
        points: Tensor = self.backbone2a(features)
        presence: Tensor = self.backbone2b(features)
        return MeshOutput(points.reshape(-1, POINTS, 3), presence.reshape(-1))


def _head(width: int, numbers: int) -> list[nn.Module]:
    """From a map of 3 × 3 places to so many numbers."""
    return [nn.Conv2d(width, 32, kernel_size=1), nn.PReLU(32), _Block(32, 32), nn.Conv2d(32, numbers, kernel_size=3)]


class _Block(nn.Module):
    """A depthwise and a pointwise convolution beside a bare shortcut, which new channels enter as zeros."""

    def __init__(self, width: int, channels: int, halve: bool = False) -> None:
        super().__init__()
        self.halve = halve
        self.more = channels - width
        depthwise = (
            nn.Conv2d(width, width, kernel_size=3, stride=2, groups=width)
            if halve
            else nn.Conv2d(width, width, kernel_size=3, padding=1, groups=width)
        )
        self.convs = nn.Sequential(depthwise, nn.Conv2d(width, channels, kernel_size=1))
        self.act = nn.PReLU(channels)

    def forward(self, features: Tensor) -> Tensor:
        shortcut = functional.max_pool2d(features, 2) if self.halve else features
        shortcut = functional.pad(shortcut, (0, 0, 0, 0, 0, self.more))
        padded = functional.pad(features, (0, 1, 0, 1)) if self.halve else features
        mixed: Tensor = self.act(self.convs(padded) + shortcut)
        return mixed
