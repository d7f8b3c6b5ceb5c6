"""A clip at a glance: whether the crop stands still and the person stays the same."""

import io

import cv2
import numpy as np
from PIL import Image

FRAMES = 5
SIDE = 96  # pixels of a frame
QUALITY = 80


def strip(frames: np.ndarray) -> bytes:
    """Five frames spread evenly over a clip, from its first to its last, side by side.

    Args:
        frames: (T, S, S, 3) uint8 RGB, T > 0; of a clip shorter than five frames some are shown twice.

    Returns:
        JPEG of 480×96 pixels.
    """
    chosen = np.linspace(0, len(frames) - 1, FRAMES).round().astype(int)
    small = [cv2.resize(frames[number], (SIDE, SIDE), interpolation=cv2.INTER_AREA) for number in chosen]
    picture = io.BytesIO()
    Image.fromarray(np.concatenate(small, axis=1)).save(picture, format="JPEG", quality=QUALITY)
    return picture.getvalue()


def strip_pixels(picture: bytes) -> np.ndarray:
    """The (96, 480, 3) uint8 RGB of a `strip`."""
    with Image.open(io.BytesIO(picture)) as image:
        return np.asarray(image.convert("RGB"))
