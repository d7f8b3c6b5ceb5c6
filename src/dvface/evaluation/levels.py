"""Whether one video is the other with its levels squeezed or stretched, as a mistaken colour range does it."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

SQUEEZE = 219 / 255  # full range shown through limited range's 16 to 235 (ITU-R BT.709, 8 bits)
BLACK = 16.0
LEAST_CORRELATION = 0.95  # below, a line says too little
SLOPE_TOLERANCE = 0.04  # a third of the way from 1 to the squeeze
DETAIL_TOLERANCE = 0.08  # blur flattens small things more than large ones, a mistaken range flattens both alike
BLACK_TOLERANCE = 6.0  # levels at which the line may miss black's place
COARSE = 4  # cells along each side of the picture in which small things are gone

Levels = Literal["squeezed", "stretched"]


def range_mistake(restored: NDArray[np.float32], reference: NDArray[np.float32]) -> Levels | None:
    """Whether ``restored`` is ``reference`` squeezed into, or stretched out of, limited range; None where neither.

    The line restored = a·reference + b has a as the ratio of standard deviations, which noise on both sides does not
    tilt as it does regression's.

    Args:
        restored: (T, S, S) small grey pictures, levels 0 to 255, S a multiple of 4.
        reference: the same moments.
    """
    ours, our_detail = _scales(restored)
    theirs, their_detail = _scales(reference)
    if not their_detail.std() or not ours.std() or np.corrcoef(ours, theirs)[0, 1] < LEAST_CORRELATION:
        return None
    slope, detail_slope = ours.std() / theirs.std(), our_detail.std() / their_detail.std()
    black = ours.mean() - slope * theirs.mean()
    mistakes: tuple[tuple[Levels, float, float], ...] = (
        ("squeezed", SQUEEZE, BLACK),
        ("stretched", 1 / SQUEEZE, -BLACK / SQUEEZE),
    )
    for mistake, its_slope, its_black in mistakes:
        if (
            abs(slope / its_slope - 1) < SLOPE_TOLERANCE
            and abs(detail_slope / its_slope - 1) < DETAIL_TOLERANCE
            and abs(black - its_black) < BLACK_TOLERANCE
        ):
            return mistake
    return None


def _scales(pictures: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The means of `COARSE`² cells of each picture, and what the pictures have beside them; both flat."""
    frames, side, _ = pictures.shape
    cells = pictures.astype(np.float64).reshape(frames, COARSE, side // COARSE, COARSE, side // COARSE)
    coarse = cells.mean(axis=(2, 4), keepdims=True)
    return coarse.ravel(), (cells - coarse).ravel()
