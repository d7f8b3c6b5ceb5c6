"""A face cut out of a frame, upright and at one size: what identity and landmark networks read."""

import cv2
import numpy as np
from numpy.typing import NDArray

from dvface.perception.alignment import Matrix, to_template

ALIGNED_SIDE = 512
"""Pixels along each side of the field's aligned face."""

_BORDER = (132, 133, 135)
"""What lies beyond the frame, RGB: the grey of facexlib's face helper."""


def aligned_face(frame: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> NDArray[np.uint8]:
    """The field's aligned square, (512, 512, 3) uint8 RGB, bilinear.

    Args:
        frame: (H, W, 3) uint8 RGB.
        landmarks: (5, 2) `Face.landmarks`; brought to `TEMPLATE` by least squares.

    Raises:
        ValueError: the landmarks coincide.
    """
    matrix = to_template(landmarks) * ALIGNED_SIDE
    size = (ALIGNED_SIDE, ALIGNED_SIDE)
    return np.asarray(cv2.warpAffine(frame, matrix, size, flags=cv2.INTER_LINEAR, borderValue=_BORDER), np.uint8)


def square_of(centre: NDArray[np.floating], side: float, eyes: NDArray[np.floating], pixels: int) -> Matrix:
    """(2, 3) from a frame's pixels to a crop of ``pixels`` × ``pixels``, first pixels' centres at 0 in both.

    Args:
        centre: (2,) x, y of the square's middle.
        side: of the square, in the frame's pixels.
        eyes: (2, 2) x, y of the eyes at the picture's left and right; they are level in the crop.
        pixels: along each side of the crop.
    """
    along = eyes[1] - eyes[0]
    angle = np.arctan2(along[1], along[0])
    cosine, sine = np.cos(angle) * pixels / side, np.sin(angle) * pixels / side
    linear = np.array([[cosine, sine], [-sine, cosine]])
    shift = (pixels - 1) / 2 - linear @ centre
    return np.column_stack((linear, shift))
