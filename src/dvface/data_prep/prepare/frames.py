"""What flows from decoding to tracking."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np


@dataclass(frozen=True)
class RawFrame:
    """One frame of footage.

    Attributes:
        index: its place among the frames of the file, from 0.
        seconds: when it is shown.
        pixels: (H, W, 3) uint8 RGB, upright.
        continues: whether it follows the frame before it: no cut, damage or gap in time lies between.
    """

    index: int
    seconds: float
    pixels: np.ndarray
    continues: bool

    def cut(self) -> "RawFrame":
        """The same frame as the first of a scene."""
        return replace(self, continues=False)


class SceneDetector(Protocol):
    """Finds cuts."""

    def split(self, frames: Iterable[RawFrame]) -> Iterator[RawFrame]:
        """The same frames in the same order, a few late; the first after each cut no longer continues."""
        ...
