"""Where a face lies in a picture: the field's aligned square, and which way the face looks; numbers only."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]

TEMPLATE: Matrix = (
    np.array(
        [
            [192.98138, 239.94708],
            [318.90277, 240.1936],
            [256.63416, 314.01935],
            [201.26117, 371.41043],
            [313.08905, 371.15118],
        ]
    )
    / 512
)
"""(5, 2) x, y of `Face.landmarks` in the aligned square of side 1: mean landmarks of FFHQ's aligned faces.

The numbers are facexlib's for 512 pixels, which GFPGAN, CodeFormer and DicFace share. As there, a crop of S pixels
holds place u of the square at pixel S · u, the first pixel's centre being 0.
"""

_HEAD: Matrix = np.array(
    [
        [-3.1511455, 2.624618, 3.465661],
        [3.1511455, 2.624618, 3.465661],
        [0.0, -1.126865, 7.475604],
        [-2.456206, -4.342621, 4.283884],
        [2.456206, -4.342621, 4.283884],
    ]
)
"""(5, 3) centimetres of `Face.landmarks` on a mean head: x to the picture's right, y up, z to the viewer.

From MediaPipe's canonical face model (Apache-2.0, ``canonical_face_model.obj``): means of each eye's two corners
(vertices 33, 133, 362, 263), tip of the nose (1), corners of the mouth (61, 291).
"""


_NOTHING = 1e-24
"""Share of a sum of squares below which there is only rounding."""


class Pose(NamedTuple):
    """Which way a face looks, in degrees; 0, 0, 0 is straight at the viewer, upright.

    Yaw and pitch are those of the upright face: turning the picture in its plane changes the roll alone.

    Attributes:
        yaw: positive when the face turns to the picture's right.
        pitch: positive when it looks up.
        roll: positive clockwise, as seen in the picture.
    """

    yaw: float
    pitch: float
    roll: float


def similarity(points: NDArray[np.floating], targets: NDArray[np.floating]) -> Matrix:
    """The rotation, scale and shift that bring ``points`` nearest to ``targets`` in least squares, never mirroring.

    Umeyama 1991, in the plane: points are complex numbers, and the best factor is their regression's.

    Args:
        points: (..., N, 2) x, y.
        targets: (..., N, 2).

    Returns:
        (..., 2, 3) M such that a target is nearly M · (x, y, 1).

    Raises:
        ValueError: points or targets coincide, so that no scale fits.
    """
    sources, goals = _complex(points), _complex(targets)
    centre, goal_centre = sources.mean(axis=-1, keepdims=True), goals.mean(axis=-1, keepdims=True)
    one, other = sources - centre, goals - goal_centre
    spread, goal_spread = _power(one), _power(other)
    shared = (one.conj() * other).sum(axis=-1)
    # rounding leaves a little of what should be nothing; NaN is not above it either
    apart = (spread > _NOTHING * _power(sources)) & (goal_spread > _NOTHING * _power(goals))
    if not np.all(apart & (np.abs(shared) ** 2 > _NOTHING * spread * goal_spread)):
        raise ValueError("points coincide or are not finite: no rotation and scale fit them")
    factor = shared / spread
    shift = goal_centre[..., 0] - factor * centre[..., 0]
    first, second = (factor.real, -factor.imag, shift.real), (factor.imag, factor.real, shift.imag)
    return np.stack((np.stack(first, axis=-1), np.stack(second, axis=-1)), axis=-2)


def to_template(landmarks: NDArray[np.floating]) -> Matrix:
    """(..., 2, 3) from the picture's pixels to the aligned square of side 1, for (..., 5, 2) landmarks.

    Raises:
        ValueError: landmarks coincide.
    """
    return similarity(landmarks, TEMPLATE)


def span(landmarks: NDArray[np.floating]) -> Matrix:
    """(...) side, in pixels of the picture, of the aligned square of (..., 5, 2) landmarks.

    Raises:
        ValueError: landmarks coincide.
    """
    return np.asarray(1 / np.hypot(*np.moveaxis(to_template(landmarks)[..., 0], -1, 0)))


def inverse(matrix: Matrix) -> Matrix:
    """(..., 2, 3) that undoes the affine ``matrix`` (..., 2, 3)."""
    linear = np.linalg.inv(matrix[..., :2])
    return np.concatenate((linear, -linear @ matrix[..., 2:]), axis=-1)


def pose(landmarks: NDArray[np.floating]) -> Pose:
    """Which way the face of (5, 2) ``landmarks`` looks.

    The five points are taken for those of a mean head seen from afar (scaled orthographic projection): the best affine
    view of the head (POS, DeMenthon & Davis 1995), then the rotation and scale nearest to it. Real heads differ from
    the mean one: a few degrees of pitch and yaw are theirs.

    Raises:
        ValueError: the landmarks coincide or are not finite.
    """
    landmarks = np.asarray(landmarks, np.float64)
    # the picture's axes: y down, z away from the viewer
    head = (_HEAD - _HEAD.mean(axis=0)) * (1, -1, -1)
    view = (landmarks - landmarks.mean(axis=0)).T @ np.linalg.pinv(head).T
    if not (view**2).sum() > _NOTHING * (landmarks**2).sum():
        raise ValueError("landmarks coincide or are not finite: no pose fits them")
    left, _, right = np.linalg.svd(view, full_matrices=False)
    across, down = left @ right
    away = np.cross(across, down)
    yaw = np.arctan2(away[0], np.hypot(across[0], down[0]))
    pitch = np.arctan2(-away[1], away[2])
    roll = np.arctan2(down[0], across[0])
    return Pose(*(float(np.degrees(angle)) for angle in (yaw, pitch, roll)))


def _complex(points: NDArray[np.floating]) -> NDArray[np.complex128]:
    return np.asarray(points[..., 0] + 1j * np.asarray(points[..., 1], np.float64), np.complex128)


def _power(numbers: NDArray[np.complex128]) -> Matrix:
    return np.asarray((np.abs(numbers) ** 2).sum(axis=-1))
