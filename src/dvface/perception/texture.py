"""DISTS: a distance that forgives texture that is resampled and not copied."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from dvface.perception.perceptual import BACKBONE_WEIGHTS, VGG16_WIDTHS, FrameDistance, vgg16_stages
from dvface.weights import read_tensors
from dvface.weights.catalogue import DISTS_CHANNELS

_WIDTHS = (3, *VGG16_WIDTHS)
_STABLE = 1e-6
"""Keeps the ratios finite where a channel is silent; the authors' value."""


class DISTS(FrameDistance):
    """DISTS (Ding et al. 2020, arXiv 2004.07728): ImageNet's VGG-16 in torchvision's layout, the authors' weights.

    The frame itself and the features at five depths are compared channel by channel: means by
    l = (2 μx μy + c) / (μx² + μy² + c), which is texture, and deviations by s = (2 σxy + c) / (σx² + σy² + c), which is
    structure (eq. 4, 5). The distance is 1 − Σ (α l + β s) with Σ (α + β) = 1 (eq. 6): 0 for equal frames, up to
    2 for opposite ones. It runs in the precision of its weights whatever autocast says: its constants are 1e-6.

    Args:
        weights: the trunk's state dict; by default looked up (`BACKBONE_WEIGHTS`).
        channel_weights: the authors' file of α and β, 1475 channels each; by default looked up
            (`DISTS_CHANNELS`).

    Raises:
        UserError: a file does not exist or is not this network's.
        WeightsMissing: the trunk, or the channel weights that torchmetrics carries, cannot be had.
    """

    least_side = 16
    mean: Tensor
    deviation: Tensor

    def __init__(self, weights: str | Path | None = None, channel_weights: str | Path | None = None) -> None:
        super().__init__()
        self.stages = nn.ModuleList(nn.Sequential(*stage) for stage in vgg16_stages(lambda width: [RootPool(width)]))
        self.alpha = nn.Parameter(torch.ones(1, sum(_WIDTHS), 1, 1))
        self.beta = nn.Parameter(torch.ones(1, sum(_WIDTHS), 1, 1))
        # ImageNet's, for frames in [0, 1]
        self.register_buffer("mean", torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("deviation", torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1), persistent=False)
        path = BACKBONE_WEIGHTS["vgg"].find(weights)
        self.file_name = path.name
        trunk = read_tensors(path)
        state = {
            key: trunk[torchvision] for key, torchvision in self._torchvision_names().items() if torchvision in trunk
        }
        self.freeze({**state, **read_tensors(DISTS_CHANNELS.find(channel_weights))}, path)

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        """See `FrameDistance`; frames of at least 16 × 16 pixels."""
        with torch.autocast(first.device.type, enabled=False):
            total = self.alpha.sum() + self.beta.sum()
            alphas, betas = ((each / total).split(_WIDTHS, dim=1) for each in (self.alpha, self.beta))
            distance = self.alpha.new_zeros(len(first))
            features = zip(self._features(first), self._features(second), strict=True)
            for alpha, beta, (one, other) in zip(alphas, betas, features, strict=True):
                texture, structure = _similarities(one, other)
                # 1 − Σ is summed as Σ (1 − ·), which is exactly 0 for equal frames
                distance = distance + (alpha * (1 - texture) + beta * (1 - structure)).sum(dim=(1, 2, 3))
        return distance

    def _features(self, frames: Tensor) -> list[Tensor]:
        features = [(frames.to(self.mean.dtype) + 1) / 2]
        hidden = (features[0] - self.mean) / self.deviation
        for stage in self.stages:
            hidden = stage(hidden)
            features.append(hidden)
        return features

    def _torchvision_names(self) -> dict[str, str]:
        """Name of each of the trunk's tensors here -> its name in torchvision's VGG-16."""
        names: dict[str, str] = {}
        position = 0
        for number, stage in enumerate(self.stages):
            for place, layer in enumerate(stage.children()):
                names |= {f"stages.{number}.{place}.{key}": f"features.{position}.{key}" for key in layer.state_dict()}
                position += 1
        return names


class RootPool(nn.Module):
    """L2 pooling (Hénaff & Simoncelli 2016): the root of squares blurred by a Hanning window, then halved.

    Args:
        channels: of the maps.
    """

    window: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        line = torch.tensor([0.25, 0.5, 0.25])  # Hanning's window of 5 without its zeros, of sum 1
        self.register_buffer("window", torch.outer(line, line).repeat(channels, 1, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H/2, W/2), halves rounded up."""
        power = functional.conv2d(frames.square(), self.window, stride=2, padding=1, groups=frames.shape[1])
        return (power + 1e-12).sqrt()  # a root has no slope at zero


def _similarities(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """Texture and structure of (N, C, H, W) twice, each (N, C, 1, 1), 1 for equal maps."""
    (mean, one), (other_mean, other) = map(_centred, (first, second))
    texture = (2 * mean * other_mean + _STABLE) / (mean.square() + other_mean.square() + _STABLE)
    shared = (one * other).mean(dim=(2, 3), keepdim=True)
    spread = (one.square() + other.square()).mean(dim=(2, 3), keepdim=True)
    return texture, (2 * shared + _STABLE) / (spread + _STABLE)


def _centred(features: Tensor) -> tuple[Tensor, Tensor]:
    mean = features.mean(dim=(2, 3), keepdim=True)
    return mean, features - mean
