"""What a picture shows, in 2048 numbers: FID's Inception-v3, frozen."""

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.models import inception

from dvface.perception.frozen import Frozen
from dvface.weights import read_tensors
from dvface.weights.catalogue import INCEPTION_FID

SIDE = 299
"""Pixels along each side of the pictures that the network knows."""
CLASSES = 1008
"""Of the file's last layer, which features do not use."""


class FIDInception(Frozen):
    """Inception-v3 (Szegedy et al. 2016) as FID is measured with, which differs from torchvision's in its pools.

    The file is TensorFlow's ``inception-2015-12-05`` in torchvision's names; torch-fidelity publishes the same bytes as
    ``weights-inception-2015-12-05-6726825d.pth``.

    Args:
        weights: a state dict of pytorch-fid's layout; by default looked up (`INCEPTION_FID`).

    Attributes:
        dimension: of the features.
        file_name: of the pretrained file.

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    dimension = 2048

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        path = INCEPTION_FID.find(weights)
        self.file_name: str | None = path.name
        self.network = inception_of_fid()
        self.freeze({f"network.{key}": value for key, value in read_tensors(path).items()}, path)
        # so that the network gives what its last layer would be given
        self.network.fc = nn.Identity()

    def features(self, frames: Tensor) -> Tensor:
        """The last pool ("pool3"), in float32 whatever autocast says.

        Args:
            frames: (N, 3, H, W) RGB in [-1, 1]; resized to 299 × 299, bilinear without anti-aliasing, as pytorch-fid
                does.

        Returns:
            (N, 2048).
        """
        with torch.autocast(frames.device.type, enabled=False):
            pictures = functional.interpolate(frames.float(), (SIDE, SIDE), mode="bilinear", align_corners=False)
            pooled: Tensor = self.network(pictures)
        return pooled


def inception_of_fid() -> inception.Inception3:
    """The network alone, untrained: torchvision's with the pools of the TensorFlow graph."""
    network = inception.Inception3(
        num_classes=CLASSES,
        aux_logits=False,
        init_weights=False,
        inception_blocks=[
            inception.BasicConv2d,
            _BlockA,
            inception.InceptionB,
            _BlockC,
            inception.InceptionD,
            _BlockE,
            inception.InceptionAux,
        ],
    )
    network.Mixed_7c = _LastBlock(2048)
    return network


def _average(features: Tensor) -> Tensor:
    """TensorFlow's mean over 3 × 3, which does not count the zeros around."""
    return functional.avg_pool2d(features, kernel_size=3, stride=1, padding=1, count_include_pad=False)


class _BlockA(inception.InceptionA):
    """Mixed_5b, 5c, 5d."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*self._forward(x)[:-1], self.branch_pool(_average(x))], dim=1)


class _BlockC(inception.InceptionC):
    """Mixed_6b to 6e."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*self._forward(x)[:-1], self.branch_pool(_average(x))], dim=1)


class _BlockE(inception.InceptionE):
    """Mixed_7b."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([*self._forward(x)[:-1], self.branch_pool(_average(x))], dim=1)


class _LastBlock(inception.InceptionE):
    """Mixed_7c, where the graph takes the largest of 3 × 3 and not the mean."""

    def forward(self, x: Tensor) -> Tensor:
        largest = functional.max_pool2d(x, kernel_size=3, stride=1, padding=1)
        return torch.cat([*self._forward(x)[:-1], self.branch_pool(largest)], dim=1)
