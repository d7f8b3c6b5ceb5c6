"""The surroundings of a face: what is kept of a frame until its clip is complete."""

from dataclasses import dataclass

import cv2
import numpy as np

from dvface.perception.alignment import inverse, span, to_template
from dvface.perception.detection import Face

Area = tuple[int, int, int, int]
"""Left, top, right and bottom in pixels, right and bottom excluded."""


@dataclass(frozen=True)
class Patch:
    """A square around a face, where large shrunk by a whole factor.

    Attributes:
        pixels: (h, w, 3) uint8 or uint16 RGB.
        left: column of the footage at which it begins.
        top: row of the footage at which it begins.
        shrink: pixels of the footage on a side of one of its pixels.
        frame: width and height of the whole frame.
        picture: the part of the frame that is no black bar.
    """

    pixels: np.ndarray
    left: int
    top: int
    shrink: int
    frame: tuple[int, int]
    picture: Area

    @property
    def area(self) -> Area:
        """What it covers of the footage."""
        height, width = self.pixels.shape[:2]
        return self.left, self.top, self.left + width * self.shrink, self.top + height * self.shrink


def take_patch(pixels: np.ndarray, picture: Area, face: Face, reach: float, size: int) -> Patch:
    """The patch of a face.

    Args:
        pixels: (H, W, 3) uint8, the whole frame.
        picture: the part of it that is no black bar.
        face: whose aligned square is in the middle.
        reach: from the middle to each side, in spans.
        size: side of the crop to be made; a face that is twice as large or more is shrunk by averaging.
    """
    side = float(span(face.landmarks))
    x, y = square_centre(face.landmarks)
    height, width = pixels.shape[:2]
    left, right = (int(np.clip(round(x + sign * reach * side), 0, width)) for sign in (-1, 1))
    top, bottom = (int(np.clip(round(y + sign * reach * side), 0, height)) for sign in (-1, 1))
    shrink = max(1, int(side / size))
    # Whole pixels of the shrunk patch; what is over at the right and the bottom is less than one of them.
    columns, rows = (right - left) // shrink, (bottom - top) // shrink
    cut = pixels[top : top + rows * shrink, left : left + columns * shrink]
    if shrink > 1 and rows and columns:
        cut = cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA)
    # A view would keep the whole frame in memory.
    return Patch(np.ascontiguousarray(cut) if shrink > 1 else cut.copy(), left, top, shrink, (width, height), picture)


def square_centre(landmarks: np.ndarray) -> np.ndarray:
    """Centre x, y (…, 2) of the aligned square of landmarks (…, 5, 2)."""
    back = inverse(to_template(landmarks))
    return np.asarray(back @ np.array([0.5, 0.5, 1.0]))


def render(patch: Patch, matrix: np.ndarray, size: int) -> np.ndarray | None:
    """(size, size, 3), as the patch: what ``matrix`` brings into the unit square; None where the patch does not reach.

    Beyond the frame's own edge the picture is mirrored. Each pixel of the result is a mean over as much footage as
    it covers, so nothing aliases.

    Args:
        patch: around the face.
        matrix: (2, 3): pixels of the footage to the unit square; the square's 1 is ``size`` pixels, as the field's
            512 template is used.
        size: of the result.
    """
    if not patch.pixels.size or not _reaches(patch, matrix):
        return None
    scale = 1 / np.sqrt(np.linalg.det(matrix[:, :2]))
    fine = max(1, int(np.ceil(scale / size / patch.shrink - 1e-9)))
    # Pixel centres: of the footage to those of the patch, and of the result to those of a finer result.
    to_footage = np.array(
        [
            [patch.shrink, 0, patch.left + (patch.shrink - 1) / 2],
            [0, patch.shrink, patch.top + (patch.shrink - 1) / 2],
            [0, 0, 1],
        ]
    )
    forward = matrix * (size * fine)
    forward[:, 2] += (fine - 1) / 2
    flags = cv2.INTER_LINEAR if fine > 1 else cv2.INTER_CUBIC
    side = size * fine
    drawn = cv2.warpAffine(patch.pixels, forward @ to_footage, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT)
    return drawn if fine == 1 else cv2.resize(drawn, (size, size), interpolation=cv2.INTER_AREA)


def inside(patch: Patch, matrix: np.ndarray) -> float:
    """Share of the unit square that is picture: neither beyond the frame nor black bar."""
    left, top, right, bottom = patch.picture
    # The first pixel's centre is at 0, so its edge at -½.
    picture = np.array([[left, top], [right, top], [right, bottom], [left, bottom]], dtype=np.float32) - 0.5
    square = _corners(matrix).astype(np.float32)
    common, _ = cv2.intersectConvexConvex(square, picture)
    return min(1.0, float(common) * abs(float(np.linalg.det(matrix[:, :2]))))


def _corners(matrix: np.ndarray) -> np.ndarray:
    """(4, 2): the unit square's corners in the footage."""
    unit = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]], dtype=float)
    return unit @ inverse(matrix).T


def _reaches(patch: Patch, matrix: np.ndarray) -> bool:
    """Whether all of the square that lies within the frame lies within the patch."""
    corners, (left, top, right, bottom) = _corners(matrix), patch.area
    width, height = patch.frame
    low, high = corners.min(0), corners.max(0)
    slack = patch.shrink + 1  # of the shrunk patch's last pixel, and of rounding
    return bool(
        low[0] >= (left - slack if left else -np.inf)
        and low[1] >= (top - slack if top else -np.inf)
        and high[0] <= (np.inf if right + slack > width else right + slack)
        and high[1] <= (np.inf if bottom + slack > height else bottom + slack)
    )
