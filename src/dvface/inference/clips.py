"""What restores a window of a video, and the numbers that windows are made of."""

from typing import Protocol

import numpy as np


class ClipRestorer(Protocol):
    """Restores windows of whole frames; `dvface.inference.windows` cuts videos into them.

    Attributes:
        temporal_stride: windows have ``temporal_stride``·k+1 frames; the last of a video may be shorter.
    """

    @property
    def temporal_stride(self) -> int:
        """See above."""
        ...

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """The window's restored frames, as many as it has.

        Args:
            frames: (T, H, W, 3) uint8 or uint16 RGB.
            first: which frame of the video the first of them is, counted from 0.

        Returns:
            (T, H', W', 3) float32 in [0, 1]; always of the same size.
        """
        ...


def to_unit(frames: np.ndarray) -> np.ndarray:
    """uint8 or uint16 of any shape to float32 in [0, 1]."""
    return frames.astype(np.float32) / np.iinfo(frames.dtype).max


def from_unit(frames: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Float in [0, 1], cut off beyond, to the nearest of ``dtype``, uint8 or uint16."""
    return np.rint(frames.clip(0, 1) * np.iinfo(dtype).max).astype(dtype)
