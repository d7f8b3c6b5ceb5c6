"""Pairs of whole videos for measuring."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class VideoPair:
    """A degraded video and its clean twin, frame by frame in step.

    Attributes:
        name: how tables call it; pairs of one name are clips of one set and averaged.
        degraded: (T, H, W, 3) uint8 RGB.
        clean: the same shape.
        rate: frames a second.
        measured_from: the whole video is restored; measured is it from this frame on.
    """

    name: str
    degraded: np.ndarray
    clean: np.ndarray
    rate: Fraction
    measured_from: int = 0
