"""Small videos for the page's tests."""

from fractions import Fraction
from pathlib import Path

import numpy as np

from dvface.video.write import write_video


def write_clip(path: Path, frames: int = 8, height: int = 48, width: int = 64, rate: int = 25) -> Path:
    """A grey video whose brightness rises frame by frame."""
    levels = np.linspace(40, 200, frames).astype(np.uint8)
    pictures = (np.full((height, width, 3), level, np.uint8) for level in levels)
    write_video(path, pictures, Fraction(rate))
    return path
