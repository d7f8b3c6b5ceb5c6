"""What happens in a short video, in 400 numbers: I3D, frozen."""

import zipfile
from collections import OrderedDict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from dvface.errors import UserError
from dvface.perception.frozen import Frozen
from dvface.weights import read_tensors
from dvface.weights.catalogue import I3D_KINETICS400

SIDE = 224
"""Pixels along each side of the frames that the network knows."""
CLASSES = 400
"""Of Kinetics-400."""

_Triple = tuple[int, int, int]
# Channels of each block's branches: 1×1; 1×1 and 3×3; 1×1 and 3×3; 1×1 behind a pool (Inception-v1).
_MIXED = {
    "Mixed_3b": (192, (64, 96, 128, 16, 32, 32)),
    "Mixed_3c": (256, (128, 128, 192, 32, 96, 64)),
    "Mixed_4b": (480, (192, 96, 208, 16, 48, 64)),
    "Mixed_4c": (512, (160, 112, 224, 24, 64, 64)),
    "Mixed_4d": (512, (128, 128, 256, 24, 64, 64)),
    "Mixed_4e": (512, (112, 144, 288, 32, 64, 64)),
    "Mixed_4f": (528, (256, 160, 320, 32, 128, 128)),
    "Mixed_5b": (832, (256, 160, 320, 32, 128, 128)),
    "Mixed_5c": (832, (384, 192, 384, 48, 128, 128)),
}


class I3D(Frozen):
    """Inception-I3D on RGB (Carreira & Zisserman 2017, arXiv 1705.07750), trained on Kinetics-400.

    The file is converted from https://tfhub.dev/deepmind/i3d-kinetics-400/1, which the first FVD used, into the layout
    of pytorch-i3d (piergiaj), whose own ``rgb_imagenet.pt`` fits too but is another training and no FVD. Batch norms
    add 1e-3 to variances, as the TensorFlow original (Sonnet 1's default) and pytorch-i3d do; VideoGPT's copy of the
    network adds 1e-5.

    Args:
        weights: a state dict of that layout; by default looked up (`I3D_KINETICS400`).

    Attributes:
        dimension: of the features.
        file_name: of the pretrained file.

    Raises:
        UserError: ``weights`` does not exist, is a TorchScript program or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    dimension = CLASSES

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        path = I3D_KINETICS400.find(weights)
        if _is_program(path):
            raise UserError(
                f"weights file {path} is a TorchScript program, which is not run here since it could do anything; "
                "give i3d_pretrained_400.pt, the tensors of the same network"
            )
        self.file_name: str | None = path.name
        self.network = InceptionI3D()
        self.freeze({f"network.{key}": value for key, value in read_tensors(path).items()}, path)

    def features(self, clips: Tensor) -> Tensor:
        """Logits, the mean over time, in float32 whatever autocast says.

        Args:
            clips: (N, 3, T, H, W) RGB in [-1, 1], T at least 9, any size: see `prepared`.

        Returns:
            (N, 400).
        """
        with torch.autocast(clips.device.type, enabled=False):
            logits: Tensor = self.network(prepared(clips.float()))
        return logits.mean(dim=(2, 3, 4))


def prepared(clips: Tensor) -> Tensor:
    """The short side resized to 224, bilinear without anti-aliasing, and the centre cropped: VideoGPT, StyleGAN-V.

    Args:
        clips: (N, 3, T, H, W).

    Returns:
        (N, 3, T, 224, 224).
    """
    count, channels, frames, height, width = clips.shape
    short = min(height, width)
    # the long side rounded up
    size = (-(-height * SIDE // short), -(-width * SIDE // short))
    pictures = clips.transpose(1, 2).flatten(0, 1)
    pictures = functional.interpolate(pictures, size, mode="bilinear", align_corners=False)
    top, left = ((side - SIDE) // 2 for side in size)
    pictures = pictures[..., top : top + SIDE, left : left + SIDE]
    return pictures.reshape(count, frames, channels, SIDE, SIDE).transpose(1, 2)


class InceptionI3D(nn.Sequential):
    """The network alone, untrained: (N, 3, T, 224, 224) in [-1, 1] -> (N, 400, ⌈T / 8⌉ − 1, 1, 1) logits.

    Parameter names are those of pytorch-i3d. All padding is TensorFlow's "SAME".
    """

    def __init__(self) -> None:
        mixed = {name: _Mixed(width, channels) for name, (width, channels) in _MIXED.items()}
        super().__init__(
            OrderedDict(
                Conv3d_1a_7x7=_Unit(3, 64, 7, stride=2),
                MaxPool3d_2a_3x3=_SamePool((1, 3, 3), (1, 2, 2)),
                Conv3d_2b_1x1=_Unit(64, 64, 1),
                Conv3d_2c_3x3=_Unit(64, 192, 3),
                MaxPool3d_3a_3x3=_SamePool((1, 3, 3), (1, 2, 2)),
                Mixed_3b=mixed["Mixed_3b"],
                Mixed_3c=mixed["Mixed_3c"],
                MaxPool3d_4a_3x3=_SamePool((3, 3, 3), (2, 2, 2)),
                Mixed_4b=mixed["Mixed_4b"],
                Mixed_4c=mixed["Mixed_4c"],
                Mixed_4d=mixed["Mixed_4d"],
                Mixed_4e=mixed["Mixed_4e"],
                Mixed_4f=mixed["Mixed_4f"],
                MaxPool3d_5a_2x2=_SamePool((2, 2, 2), (2, 2, 2)),
                Mixed_5b=mixed["Mixed_5b"],
                Mixed_5c=mixed["Mixed_5c"],
                avg_pool=nn.AvgPool3d((2, 7, 7), stride=1),
                logits=nn.Sequential(OrderedDict(conv3d=nn.Conv3d(1024, CLASSES, kernel_size=1))),
            )
        )


class _Unit(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, width: int, channels: int, kernel: int, stride: int = 1) -> None:
        super().__init__()
        self.conv3d = nn.Conv3d(width, channels, kernel, stride, bias=False)
        self.bn = nn.BatchNorm3d(channels, eps=1e-3)
        self._kernel: _Triple = (kernel, kernel, kernel)
        self._stride: _Triple = (stride, stride, stride)

    def forward(self, features: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv3d(_padded(features, self._kernel, self._stride))))


class _SamePool(nn.Module):
    """Largest of a window; zeros around are as good as nothing, since features come from a ReLU."""

    def __init__(self, kernel: _Triple, stride: _Triple) -> None:
        super().__init__()
        self._kernel, self._stride = kernel, stride

    def forward(self, features: Tensor) -> Tensor:
        return functional.max_pool3d(_padded(features, self._kernel, self._stride), self._kernel, self._stride)


class _Mixed(nn.Module):
    """Four branches side by side."""

    def __init__(self, width: int, channels: tuple[int, int, int, int, int, int]) -> None:
        super().__init__()
        direct, narrow, wide, narrower, wider, pooled = channels
        self.b0 = _Unit(width, direct, 1)
        self.b1a = _Unit(width, narrow, 1)
        self.b1b = _Unit(narrow, wide, 3)
        self.b2a = _Unit(width, narrower, 1)
        self.b2b = _Unit(narrower, wider, 3)
        self.b3a = _SamePool((3, 3, 3), (1, 1, 1))
        self.b3b = _Unit(width, pooled, 1)

    def forward(self, features: Tensor) -> Tensor:
        branches = (
            self.b0(features),
            self.b1b(self.b1a(features)),
            self.b2b(self.b2a(features)),
            self.b3b(self.b3a(features)),
        )
        return torch.cat(branches, dim=1)


def _padded(features: Tensor, kernel: _Triple, stride: _Triple) -> Tensor:
    """Zeros around (N, C, T, H, W), so that ⌈size / stride⌉ windows fit; the odd one behind."""
    pads: list[int] = []
    for size, reach, step in reversed(list(zip(features.shape[2:], kernel, stride, strict=True))):
        missing = max((-(-size // step) - 1) * step + reach - size, 0)
        pads += [missing // 2, missing - missing // 2]
    return functional.pad(features, pads) if any(pads) else features


def _is_program(path: Path) -> bool:
    """Whether a file is what `torch.jit.save` writes; plain archives of tensors have no constants."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(Path(name).name == "constants.pkl" for name in archive.namelist())
