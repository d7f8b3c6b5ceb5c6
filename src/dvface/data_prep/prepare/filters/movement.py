"""Filters on what moves: jumps, photographs, repeated frames."""

from itertools import pairwise

import cv2
import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip, Verdict
from dvface.data_prep.prepare.filters.face_region import faces
from dvface.data_prep.prepare.filters.verdicts import above, below, verdict

SIDE = 128  # of the faces that are brought onto each other
MARGIN = 12
_ROWS, _COLUMNS = np.mgrid[MARGIN : SIDE - MARGIN : 8, MARGIN : SIDE - MARGIN : 8]
GRID = np.stack([_COLUMNS.ravel(), _ROWS.ravel()], axis=1).astype(np.float32)[:, None]
LONGEST_RUN = 65  # frames; every rhythm of repeats shows in two seconds
REPEAT_SHARE = 0.25  # of an ordinary step's difference; repeats in x264 at crf 23 leave 0.04 to 0.45
REPEAT_LEVELS = 0.1  # of 255: what rounding leaves of an exact repeat


class Motion:
    """Refuses clips in which the face jumps: a missed cut, or two people taken for one.

    Measures ``motion``: the longest way of the detected landmarks' centre between neighbouring frames, in spans (the
    side of the aligned square). Fast heads of 26 real clips reached 0.15; half a face's width is about 0.2.

    Args:
        most: of ``motion``.
    """

    def __init__(self, most: float) -> None:
        self.most = most

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        steps = np.linalg.norm(np.diff(clip.detected.mean(axis=1), axis=0), axis=1) / clip.spans[1:]
        motion = float(steps.max(initial=0))
        return verdict({"motion": motion}, above("motion", motion, self.most))


class Stillness:
    """Refuses photographs and frozen pictures, also where the camera glides over them.

    Measures ``movement``: how far points of the face move against each other, in pixels of a face 128 pixels wide.
    Frames half a clip or a whole clip apart are brought onto each other by rotation, scale and shift; what is left of
    the optical flow is the face's own. Photographs, still, noisy, panned and zoomed, encoded with x264 at crf 23, gave
    0.03 to 0.17; real clips of 17 frames 0.18 (an actor not yet acting) and 0.33 upward, half of them above 2.7.

    Args:
        least: of ``movement``.
    """

    def __init__(self, least: float) -> None:
        self.least = least

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        looks = faces(clip, SIDE, [round(place) for place in np.linspace(0, len(clip.frames) - 1, 5)])
        first, second, middle, fourth, last = looks
        pairs = [(first, middle), (middle, last), (first, last), (second, fourth)]
        movement = float(np.mean([_compare(one, other)[1] for one, other in pairs]))
        return verdict({"movement": movement}, below("movement", movement, self.least))


class Repeats:
    """Refuses footage whose frames are repeated, as conversions to a higher frame rate leave them.

    Measures ``repeats``: share of steps, 0 to 1, in which nothing happens: neighbouring faces, brought onto each other
    (the crop itself moves a little over a repeated frame), differ by less than a quarter of what ordinary steps of the
    clip (their upper quartile) do. 24 frames a second in 30 give 0.2, 25 in 50 give 0.5. Against the raw frames of 49
    real clips it found 70 % of the repeats, and one in four that it reports is only a very still moment. Of long clips
    the middle 65 frames are looked at.

    Args:
        most: of ``repeats``.
    """

    def __init__(self, most: float) -> None:
        self.most = most

    def __call__(self, clip: FaceClip) -> Verdict:
        """See `Filter`."""
        start = max(0, (len(clip.frames) - LONGEST_RUN) // 2)
        looks = faces(clip, SIDE, list(range(start, min(start + LONGEST_RUN, len(clip.frames)))))
        steps = np.array([_compare(one, other)[0] for one, other in pairwise(looks)])
        share = (
            float(np.mean(steps < max(REPEAT_LEVELS, REPEAT_SHARE * np.quantile(steps, 0.75)))) if len(steps) else 0.0
        )
        return verdict({"repeats": share}, above("repeats", share, self.most))


def _compare(one: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    """Mean absolute difference (levels) and flow (pixels, upper quintile) left after ``one`` is laid onto ``other``."""
    moved, found, _ = cv2.calcOpticalFlowPyrLK(one, other, GRID, GRID.copy(), winSize=(15, 15), maxLevel=2)
    known = found.ravel() == 1
    start, end = GRID[known], moved[known]
    matrix = cv2.estimateAffinePartial2D(start, end, method=cv2.LMEDS)[0] if known.sum() >= 3 else None
    if matrix is None:  # nothing to hold on to: a blank face
        return float(cv2.absdiff(one, other).mean()), 0.0
    laid = cv2.warpAffine(one, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    # a small blur takes away what interpolation sharpens or softens
    difference = cv2.absdiff(cv2.blur(laid, (3, 3)), cv2.blur(other, (3, 3)))[MARGIN:-MARGIN, MARGIN:-MARGIN]
    own = np.linalg.norm(cv2.transform(start, matrix) - end, axis=-1)
    return float(difference.mean()), float(np.quantile(own, 0.8))
