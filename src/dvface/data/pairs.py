"""Pairs of whole videos for measuring."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction

import numpy as np


@dataclass(frozen=True)
class VideoPair:
    """A degraded video and its clean twin, frame by frame in step.

    Attributes:
        name: how tables call it; pairs of one name are clips of one set and averaged.
        clip: its own name within the set.
        degraded: (T, H, W, 3) uint8 RGB.
        clean: the same shape.
        rate: frames a second.
        measured_from: the whole video is restored; measured is it from this frame on.
    """

    name: str
    clip: str
    degraded: np.ndarray
    clean: np.ndarray
    rate: Fraction
    measured_from: int = 0

    def digest(self) -> str:
        """SHA-256 of what is measured: only clips with the same one are the same, whatever their names say."""
        digest = hashlib.sha256(f"{self.degraded.shape} {self.measured_from} {self.rate}".encode())
        for frames in (self.degraded, self.clean):
            digest.update(np.ascontiguousarray(frames).data)
        return digest.hexdigest()
