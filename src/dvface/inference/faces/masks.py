"""Where in its aligned square a restored face replaces the input: soft masks that move with the landmarks."""

from collections.abc import Sequence
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from dvface.perception.alignment import to_template
from dvface.perception.detection import Face
from dvface.perception.facemesh import FaceMesh
from dvface.perception.tracks import fill_missed, smooth

SIDE = 128
"""Pixels of a mask: it is soft, so more of them would show nothing more. Pixel i lies at i / SIDE of the square."""

FINER = 4
"""Outlines are drawn with so many times the pixels of a mask."""

FACE_OVAL = (
    *(10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377),
    *(152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109),
)
"""Points of MediaPipe's mesh around the face, from the forehead's top to the viewer's right and round."""


class Mask(Protocol):
    """Draws masks of one face."""

    def draw(self, frames: Sequence[np.ndarray], landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
        """(T, SIDE, SIDE) in [0, 1] over the aligned square, 0 at its border.

        Args:
            frames: T of (H, W, 3) uint8 or uint16 RGB, one after another.
            landmarks: (T, 5, 2) of the face, smoothed.
        """
        ...


class EllipseMask:
    """One rounded shape for all faces: most of the aligned square, hair and chin included.

    A superellipse |x/a|ᵖ + |y/a|ᵖ = 1 around the square's middle (p = 2 is a circle, p = ∞ the square): what it covers
    is what restorers of aligned squares are trained to restore.

    Args:
        radius: a, of the square's side, below ½ so that the mask reaches zero before the border.
        power: p.
        feather: share of the radius over which the mask falls from 1 to 0, with no kink at either end.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(self, radius: float = 0.48, power: float = 3.0, feather: float = 0.25) -> None:
        if not (0 < radius < 0.5 and power >= 1 and 0 < feather <= 1):
            raise ValueError(
                f"radius={radius} must be in (0, 0.5), power={power} at least 1, feather={feather} in (0, 1]"
            )
        offsets = np.abs(np.arange(SIDE) / SIDE - 0.5) / radius
        distance = (offsets[:, None] ** power + offsets**power) ** (1 / power)
        self._mask = _eased((1 - distance) / feather).astype(np.float32)

    def draw(self, frames: Sequence[np.ndarray], landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `Mask.draw`."""
        return np.broadcast_to(self._mask, (len(landmarks), SIDE, SIDE))


class FaceOvalMask:
    """The face's own outline, from MediaPipe's mesh: follows chin and cheeks of turned heads; leaves hair alone.

    Args:
        mesh: the network.
        enlarge: ratio of the drawn outline to the mesh's, about its middle; the mesh ends below the hair line.
        feather: standard deviation of the blur at the edge, of the square's side.
        smoothing: of the outline over time, see `dvface.perception.tracks.smooth`.
        limit: multiplied with the outline, so that the mask ends before the square does; also the mask where the
            mesh sees no face in any frame.
    """

    def __init__(
        self,
        mesh: FaceMesh,
        enlarge: float = 1.12,
        feather: float = 0.03,
        smoothing: float = 5.0,
        limit: EllipseMask | None = None,
    ) -> None:
        if enlarge <= 0 or feather <= 0:
            raise ValueError(f"enlarge={enlarge} and feather={feather} must be above 0")
        self.mesh, self.enlarge, self.feather, self.smoothing = mesh, enlarge, feather, smoothing
        self.limit = limit or EllipseMask()

    def draw(self, frames: Sequence[np.ndarray], landmarks: NDArray[np.float64]) -> NDArray[np.float32]:
        """See `Mask.draw`; outlines of frames in which the mesh sees no face are interpolated."""
        limit = self.limit.draw(frames, landmarks)
        faces = [_face(marks) for marks in landmarks]
        meshes = self.mesh.points([_eight_bits(frame) for frame in frames], faces)
        seen = np.array([mesh is not None for mesh in meshes])
        if not seen.any():
            return limit
        outlines = np.zeros((len(landmarks), len(FACE_OVAL), 2))
        # smoothed in the square, so that the mask stays with the picture that moves by the same landmarks
        for outline, mesh, matrix in zip(outlines, meshes, to_template(landmarks), strict=True):
            if mesh is not None:
                outline[:] = mesh[list(FACE_OVAL)] @ matrix[:, :2].T + matrix[:, 2]
        outlines = smooth(fill_missed(outlines, seen), self.smoothing)
        middle = outlines.mean(axis=1, keepdims=True)
        outlines = middle + self.enlarge * (outlines - middle)
        return np.stack([self._filled(outline) for outline in outlines]) * limit

    def _filled(self, outline: NDArray[np.float64]) -> NDArray[np.float32]:
        """(SIDE, SIDE): 1 inside (36, 2) places of the square, blurred."""
        # drawn finer and averaged, so that the edge moves by less than a pixel: OpenCV's own smooth lines are too wide
        fraction, side = 8, SIDE * FINER
        points = np.rint((outline * side + (FINER - 1) / 2) * (1 << fraction)).astype(np.int32)
        filled = np.zeros((side, side), np.uint8)
        cv2.fillPoly(filled, [points], 255, cv2.LINE_8, fraction)
        coarse = cv2.resize(filled.astype(np.float32) / 255, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        # blurring ones leaves a rounding above one
        return np.asarray(cv2.GaussianBlur(coarse, (0, 0), self.feather * SIDE).clip(0, 1), np.float32)


def _face(landmarks: NDArray[np.float64]) -> Face:
    box = np.concatenate((landmarks.min(axis=0), landmarks.max(axis=0)))
    return Face(box.astype(np.float32), landmarks.astype(np.float32), 1.0)


def _eight_bits(frame: np.ndarray) -> NDArray[np.uint8]:
    return frame if frame.dtype == np.uint8 else (frame >> 8).astype(np.uint8)


def _eased(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 at 0 to 1 at 1, level at both ends and beyond."""
    inside = values.clip(0, 1)
    return np.asarray(inside**2 * (3 - 2 * inside))
