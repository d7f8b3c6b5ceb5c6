"""From aligned squares back into the picture: what was changed, under a soft mask, and nothing else."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dvface.perception.alignment import Matrix, inverse

Box = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels of the picture; right and bottom excluded."""

CORE = 0.18
"""Of the square's side: how far from its middle a face holds its own against another face's square (a Gaussian's
standard deviation)."""


@dataclass(frozen=True)
class Layer:
    """What one face changes in a picture.

    Attributes:
        box: where.
        change: (h, w, 3) float32, to be added.
        mask: (h, w) float32 in [0, 1]: how much of it.
        claim: (h, w) float32, at least 0: against other faces; above 0 wherever the mask is.
    """

    box: Box
    change: NDArray[np.float32]
    mask: NDArray[np.float32]
    claim: NDArray[np.float32]


def layer(
    change: NDArray[np.float32], mask: NDArray[np.float32], matrix: Matrix, width: int, height: int
) -> Layer | None:
    """Bring what was changed in an aligned square to where the square lies; None where that is beyond the picture.

    Args:
        change: (S, S, 3), in the square; pixel i lies at i / S of its side.
        mask: (N, N) in [0, 1], in the square.
        matrix: (2, 3) from the picture's pixels to the square of side 1.
        width: of the picture.
        height: of the picture.
    """
    corners = np.array([[0, 0, 1], [1, 0, 1], [1, 1, 1], [0, 1, 1]]) @ inverse(matrix).T
    left, top = (max(0, int(np.floor(low))) for low in corners.min(axis=0))
    right, bottom = (int(np.ceil(high)) + 1 for high in corners.max(axis=0))
    right, bottom = min(right, width), min(bottom, height)
    if left >= right or top >= bottom:
        return None
    box = left, top, right, bottom
    drawn = np.clip(_drawn(mask, matrix, box), 0, 1)
    drawn_change = _drawn(change, matrix, box)
    return Layer(box, drawn_change, drawn, _claim(matrix, box) * drawn)


def blend(picture: NDArray[np.float32], layers: Sequence[Layer]) -> None:
    """Add the layers to ``picture`` (H, W, 3) in place; where masks are 0 it stays as it is, to the bit.

    Where layers overlap, each adds mask · change · claim / (sum of claims): never more than one whole change.
    """
    for one in layers:
        total = one.claim.copy()
        for other in layers:
            common = _common(one.box, other.box)
            if other is not one and common is not None:
                total[_within(common, one.box)] += other.claim[_within(common, other.box)]
        share = np.divide(one.claim, total, out=np.zeros_like(total), where=total > 0)
        left, top, right, bottom = one.box
        picture[top:bottom, left:right] += (one.mask * share)[..., None] * one.change


def _drawn(square: NDArray[np.float32], matrix: Matrix, box: Box) -> NDArray[np.float32]:
    """The part of the picture in ``box`` as ``square`` (S, S[, 3]) shows it; each pixel a mean over what it covers."""
    left, top, right, bottom = box
    size = len(square)
    ratio = size * float(np.sqrt(np.linalg.det(matrix[:, :2])))  # pixels of the square in one of the picture
    fine = max(1, int(np.ceil(ratio - 1e-9)))
    # from pixels of the finer picture, whose first centre lies (fine - 1) / 2 of them before the picture's own
    to_picture = np.array(
        [[1 / fine, 0, left - (fine - 1) / (2 * fine)], [0, 1 / fine, top - (fine - 1) / (2 * fine)], [0, 0, 1]]
    )
    flags = (cv2.INTER_LINEAR if fine > 1 else cv2.INTER_CUBIC) | cv2.WARP_INVERSE_MAP
    extent = ((right - left) * fine, (bottom - top) * fine)
    drawn = cv2.warpAffine(square, size * matrix @ to_picture, extent, flags=flags, borderMode=cv2.BORDER_CONSTANT)
    if fine > 1:
        drawn = cv2.resize(drawn, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return np.asarray(drawn, np.float32)


def _claim(matrix: Matrix, box: Box) -> NDArray[np.float32]:
    """(h, w): a face holds its own middle, and a larger one, which is nearer, more around it."""
    left, top, right, bottom = box
    rows, columns = np.mgrid[top:bottom, left:right].astype(np.float64)
    across, down = (row[0] * columns + row[1] * rows + row[2] - 0.5 for row in matrix)
    nearness = 1 / abs(float(np.linalg.det(matrix[:, :2])))  # the square's area in pixels
    near = np.exp(-(across**2 + down**2) / (2 * CORE**2))
    return np.asarray(nearness * near, np.float32)


def _common(one: Box, other: Box) -> Box | None:
    left, top = max(one[0], other[0]), max(one[1], other[1])
    right, bottom = min(one[2], other[2]), min(one[3], other[3])
    return (left, top, right, bottom) if left < right and top < bottom else None


def _within(part: Box, box: Box) -> tuple[slice, slice]:
    """Rows and columns of ``part`` in an array of ``box``."""
    return slice(part[1] - box[1], part[3] - box[1]), slice(part[0] - box[0], part[2] - box[0])
