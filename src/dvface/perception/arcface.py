"""Whose face it is: ArcFace, frozen and differentiable."""

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from dvface.perception.frozen import Frozen
from dvface.weights import read_tensors
from dvface.weights.catalogue import ARCFACE_IR_SE50

SIDE = 112
"""Pixels along each side of the faces that the network knows."""

_STAGES = ((64, 3), (128, 4), (256, 14), (512, 3))
"""Channels and blocks; each stage halves the sides at its first block."""


class ArcFace(Frozen):
    """ArcFace (Deng et al. 2019) on a 50-layer improved residual network with squeeze-and-excitation.

    The layout is that of facexlib's ``recognition_arcface_ir_se50.pth`` (175,367,323 bytes), first published in
    InsightFace_Pytorch (TreB1eN) as ``model_ir_se50.pth``. It knows aligned crops of faces; nothing here finds or
    aligns one.

    Args:
        weights: a state dict of that layout; by default looked up (`ARCFACE_IR_SE50`).

    Attributes:
        file_name: of the pretrained file.

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        path = ARCFACE_IR_SE50.find(weights)
        self.file_name = path.name
        self.network = IRSE50()
        self.freeze({f"network.{key}": value for key, value in read_tensors(path).items()}, path)

    def embed(self, frames: Tensor) -> Tensor:
        """Identities, differentiable: the cosine of two says how likely they are one person's.

        Args:
            frames: (N, 3, H, W) RGB in [-1, 1], aligned faces; resized to 112 × 112, bilinear, anti-aliased.

        Returns:
            (N, 512) of unit length.
        """
        faces = functional.interpolate(frames.float(), (SIDE, SIDE), mode="bilinear", antialias=True)
        numbers: Tensor = self.network(faces)
        # lengths of half-precision numbers are too coarse for cosines near 1
        return functional.normalize(numbers.float(), dim=1)


class IRSE50(nn.Module):
    """The network alone, untrained; parameter names are those of the published file."""

    def __init__(self) -> None:
        super().__init__()
        self.input_layer = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False), nn.BatchNorm2d(64), nn.PReLU(64)
        )
        blocks: list[nn.Module] = []
        width = 64
        for channels, count in _STAGES:
            for number in range(count):
                blocks.append(_Block(width, channels, stride=1 if number else 2))
                width = channels
        self.body = nn.Sequential(*blocks)
        # the file counts a dropout at place 1, which training alone uses
        self.output_layer = nn.Sequential(
            nn.BatchNorm2d(512), nn.Identity(), nn.Flatten(), nn.Linear(512 * 7 * 7, 512), nn.BatchNorm1d(512)
        )

    def forward(self, faces: Tensor) -> Tensor:
        """(N, 3, 112, 112) in [-1, 1] -> (N, 512), of any length."""
        numbers: Tensor = self.output_layer(self.body(self.input_layer(faces)))
        return numbers


class _Block(nn.Module):
    """A residual block: norm, two convolutions, squeeze-and-excitation; a bare shortcut where widths agree."""

    def __init__(self, width: int, channels: int, stride: int) -> None:
        super().__init__()
        self.shortcut_layer: nn.Module = nn.MaxPool2d(kernel_size=1, stride=stride)
        if width != channels:
            self.shortcut_layer = nn.Sequential(
                nn.Conv2d(width, channels, kernel_size=1, stride=stride, bias=False), nn.BatchNorm2d(channels)
            )
        self.res_layer = nn.Sequential(
            nn.BatchNorm2d(width),
            nn.Conv2d(width, channels, kernel_size=3, padding=1, bias=False),
            nn.PReLU(channels),
            nn.Conv2d(channels, channels, kernel_size=3, stride=stride, padding=1, bias=False),
            nn.BatchNorm2d(channels),
            _Excitation(channels),
        )

    def forward(self, features: Tensor) -> Tensor:
        mixed: Tensor = self.res_layer(features) + self.shortcut_layer(features)
        return mixed


class _Excitation(nn.Module):
    """Each channel scaled by what the whole map says (Hu et al. 2018), through a sixteenth of the channels."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, channels // 16, kernel_size=1, bias=False)
        self.fc2 = nn.Conv2d(channels // 16, channels, kernel_size=1, bias=False)

    def forward(self, features: Tensor) -> Tensor:
        summary = features.mean(dim=(2, 3), keepdim=True)
        scale: Tensor = self.fc2(functional.relu(self.fc1(summary))).sigmoid()
        return features * scale
