"""Aligned clips of packaged footage; where the faces are in it was found once, with dlib's 68 landmarks."""

from fractions import Fraction

import cv2
import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip
from dvface.perception.alignment import span, to_template

MAN = np.array([[74.3, 61.5], [94.8, 56.3], [87.7, 67.3], [81.0, 83.0], [98.7, 78.3]], np.float32)
"""In frame 5 of carphone."""
WOMAN = np.array([[203.2, 101.5], [246.8, 104.0], [225.0, 127.0], [201.0, 140.0], [245.0, 141.0]], np.float32)
"""In scikit-image's portrait."""


def face_clip(frames: np.ndarray, landmarks: np.ndarray, side: int = 256) -> FaceClip:
    """``frames`` (T, H, W, 3), cropped by (T, 5, 2) or (5, 2) ``landmarks``."""
    marks = np.broadcast_to(landmarks, (len(frames), 5, 2)).astype(np.float32)
    ways = to_template(marks) * side
    crops = [
        cv2.warpAffine(frame, way, (side, side), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
        for frame, way in zip(frames, ways, strict=True)
    ]
    within = np.stack([cv2.transform(one[None], way)[0] for one, way in zip(marks, ways, strict=True)])
    ones = np.ones(len(frames), np.float32)
    return FaceClip(np.stack(crops), within, marks, span(marks).astype(np.float32), ones, ones, Fraction(25))


def still(picture: np.ndarray, frames: int = 17) -> np.ndarray:
    """(frames, H, W, 3): a picture that nothing happens to."""
    return np.repeat(picture[None], frames, axis=0)
