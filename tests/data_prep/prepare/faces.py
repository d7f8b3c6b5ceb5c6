"""Faces at known places, and footage that shows where each of its pixels lies."""

import numpy as np

from dvface.perception.alignment import TEMPLATE
from dvface.perception.detection import Face


def face_at(x: float, y: float, side: float, degrees: float = 0.0, score: float = 1.0) -> Face:
    """A face whose aligned square is ``side`` wide around x, y, turned clockwise by ``degrees``."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    marks = (TEMPLATE - 0.5) * side @ turn.T + [x, y]
    low, high = marks.min(0), marks.max(0)
    return Face(np.array([*low, *high], np.float32), marks.astype(np.float32), score)


def ramp(height: int, width: int) -> np.ndarray:
    """(H, W, 3) uint8: red grows by 1 with each 2 columns, green with each 2 rows."""
    rows, columns = np.mgrid[:height, :width] / 2
    return np.stack([columns, rows, np.full((height, width), 128)], axis=-1).round().astype(np.uint8)
