"""Where a frame is picture and not black bar."""

import cv2
import numpy as np

BLACK = 24  # luma; black is 0 here, compressed bars are noisy
SAMPLES = 64  # lines looked at along each side
EDGE_SHARE = 0.5  # of the lines that are not all dark end at the bar's edge; a head before black has below 0.25
EDGE_REACH = 0.004  # of a side: how far from the edge a line may end and still count
LEAST_LEFT = 0.25  # of a side; what leaves less is no bar


def picture_area(pixels: np.ndarray) -> tuple[int, int, int, int]:
    """The part of a frame within black bars.

    A bar touches the border, spans the whole side, and ends along a straight line. One next to a dark scene may not be
    seen, nor one with a subtitle in it.

    Args:
        pixels: (H, W, 3) uint8 RGB.

    Returns:
        Left, top, right and bottom (the last two exclusive) in pixels; the whole frame if all of it is black.
    """
    height, width = pixels.shape[:2]
    columns = _light(pixels[:, :: max(1, width // SAMPLES)])
    rows = _light(pixels[:: max(1, height // SAMPLES)]).T
    left, right = _bar(rows), width - _bar(rows[::-1])
    top, bottom = _bar(columns), height - _bar(columns[::-1])
    if right - left < LEAST_LEFT * width:
        left, right = 0, width
    if bottom - top < LEAST_LEFT * height:
        top, bottom = 0, height
    return left, top, right, bottom


def _light(pixels: np.ndarray) -> np.ndarray:
    """Whether pixels are lighter than a bar."""
    return cv2.cvtColor(np.ascontiguousarray(pixels), cv2.COLOR_RGB2GRAY) > BLACK


def _bar(light: np.ndarray) -> int:
    """Thickness of the bar at the start of the first axis; ``light`` is (length, lines)."""
    lit = light.any(axis=0)
    if not lit.any():
        return 0
    depths = light[:, lit].argmax(axis=0)
    edge = int(depths.min())
    near = depths <= edge + max(2, EDGE_REACH * len(light))
    return edge if near.mean() >= EDGE_SHARE else 0
