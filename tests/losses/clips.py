"""Clips and an untrained discriminator that several tests of losses share."""

import numpy as np
import torch
from torch import Tensor, nn

from dvface.losses.discriminator import Discriminator


def grey(*values: float, size: int = 64) -> Tensor:
    """One clip whose frames are flat grey of these values."""
    return torch.tensor(values).view(1, 1, -1, 1, 1).expand(1, 3, -1, size, size)


def footage(carphone: np.ndarray, clips: int, frames: int, size: int = 64) -> Tensor:
    """(clips, 3, frames, size, size) of real footage in [-1, 1], a second apart."""
    chosen = [carphone[30 * number : 30 * number + frames, 40 : 40 + size, 60 : 60 + size] for number in range(clips)]
    return torch.from_numpy(np.stack(chosen)).permute(0, 4, 1, 2, 3) / 127.5 - 1


class RedJudge(Discriminator):
    """Scores each pixel by scale · red + offset: small enough to work out by hand."""

    def __init__(self, scale: float, offset: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.offset = nn.Parameter(torch.tensor(offset))

    def forward(self, frames: Tensor) -> list[Tensor]:
        return [self.scale * frames[:, :1] + self.offset]
