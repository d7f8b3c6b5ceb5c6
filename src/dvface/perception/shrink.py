"""Frames made small enough to look for faces in."""

import cv2
import numpy as np
from numpy.typing import NDArray


def shrink(frame: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """``frame`` (H, W, 3) with at most ``side`` pixels along its longer side, by averaging; never enlarged."""
    height, width = frame.shape[:2]
    longest = max(height, width)
    if longest <= side:
        return frame
    size = (max(1, round(width * side / longest)), max(1, round(height * side / longest)))
    return np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
