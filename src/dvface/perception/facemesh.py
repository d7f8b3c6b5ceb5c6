"""The shape of a face: MediaPipe's mesh of 468 points, frozen."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dvface.perception.alignment import Matrix, inverse, span, to_template
from dvface.perception.detection import Face
from dvface.perception.face_crops import square_of
from dvface.perception.facemesh_network import SIDE, FaceMeshNetwork
from dvface.perception.frozen import Frozen
from dvface.weights import read_tensors
from dvface.weights.catalogue import FACE_MESH_468

LEFT_EYE, RIGHT_EYE, NOSE_TIP, MOUTH = (33, 133), (362, 263), 1, (61, 291)
"""Points of the mesh: corners of the eyes at the picture's left and right, tip of the nose, corners of the mouth."""

_ENLARGED = 1.5
"""MediaPipe's square around a face: so many times the longer side of the mesh's box."""

_FIRST_CENTRE, _FIRST_SIDE = (0.5, 0.57), 0.94
"""Where that square lies in the aligned square of side 1, on average: measured on real faces of two detectors."""

_LEAST_PRESENCE = 0.5
"""MediaPipe's least probability of there being a face."""

_BATCH = 8
"""Faces looked at together; on one core 4 to 16 take 4 ms each."""


class FaceMesh(Frozen):
    """468 points of a face, by the network behind MediaPipe's Face Mesh (Kartynnik et al. 2019, arXiv 1907.06724).

    The network reads a square of 1.5 times the mesh's own box, turned so that the eyes are level. MediaPipe draws the
    first square around its detector's box. Here it is drawn around five landmarks and the network looks twice, the
    second time in the square of its first answer: with that, two detectors' answers differ a tenth as much as
    with squares around their boxes. The square's box lies along the eyes, so that a turned face has a turned mesh.
    The file is MediaPipe's (Apache-2.0), in the layout of MediaPipePyTorch; the later model with irises
    (478 points) is another.

    Args:
        weights: a state dict of that layout; by default looked up (`FACE_MESH_468`).

    Attributes:
        file_name: of the pretrained file.

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    def __init__(self, weights: str | Path | None = None) -> None:
        super().__init__()
        path = FACE_MESH_468.find(weights)
        self.file_name = path.name
        self.network = FaceMeshNetwork()
        self.freeze({f"network.{key}": value for key, value in read_tensors(path).items()}, path)
        # depthwise convolutions take a third of the time this way
        self.to(memory_format=torch.channels_last)

    def points(self, frames: Sequence[NDArray[np.uint8]], faces: Sequence[Face]) -> list[NDArray[np.float64] | None]:
        """(468, 2) x, y of each frame's face, in its pixels, the first pixel's centre at 0; None where it sees no face.

        Args:
            frames: (H, W, 3) uint8 RGB each.
            faces: one for each frame; only the landmarks are used.

        Raises:
            ValueError: a face's landmarks coincide.
        """
        first = self._look(frames, [_square_by_landmarks(face.landmarks) for face in faces])
        seen = [number for number, mesh in enumerate(first) if mesh is not None]
        squares = [_square_by_mesh(mesh) for mesh in first if mesh is not None]
        found: list[NDArray[np.float64] | None] = [None] * len(frames)
        for number, mesh in zip(seen, self._look([frames[number] for number in seen], squares), strict=True):
            found[number] = mesh
        return found

    def _look(self, frames: Sequence[NDArray[np.uint8]], squares: Sequence[Matrix]) -> list[NDArray[np.float64] | None]:
        """The mesh in each square, (2, 3) from a frame's pixels to the network's."""
        found: list[NDArray[np.float64] | None] = []
        for start in range(0, len(frames), _BATCH):
            some = squares[start : start + _BATCH]
            crops = [_cut(frame, square) for frame, square in zip(frames[start : start + _BATCH], some, strict=True)]
            meshes, presence = self._infer(np.stack(crops))
            for square, mesh, present in zip(some, meshes, presence, strict=True):
                back = inverse(square)
                found.append(mesh @ back[:, :2].T + back[:, 2] if present >= _LEAST_PRESENCE else None)
        return found

    @torch.inference_mode()
    def _infer(self, crops: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(N, 192, 192, 3) -> (N, 468, 2) pixels of the crop, (N,) probabilities of a face."""
        device = next(self.network.buffers()).device
        faces = torch.from_numpy(crops).to(device).permute(0, 3, 1, 2).float() / 255
        output = self.network(faces.contiguous(memory_format=torch.channels_last))
        # the network counts from the crop's corner, half a pixel before the first pixel's centre
        points = output.points[..., :2].double() - 0.5
        return points.cpu().numpy(), output.presence.double().sigmoid().cpu().numpy()


def _cut(frame: NDArray[np.uint8], square: Matrix) -> NDArray[np.uint8]:
    flags, border = cv2.INTER_LINEAR, cv2.BORDER_REPLICATE
    return np.asarray(cv2.warpAffine(frame, square, (SIDE, SIDE), flags=flags, borderMode=border), np.uint8)


def _square_by_landmarks(landmarks: NDArray[np.floating]) -> Matrix:
    landmarks = landmarks.astype(np.float64)
    centre = inverse(to_template(landmarks)) @ (*_FIRST_CENTRE, 1.0)
    return square_of(centre, _FIRST_SIDE * float(span(landmarks)), landmarks[:2], SIDE)


def _square_by_mesh(mesh: NDArray[np.float64]) -> Matrix:
    eyes = np.stack((mesh[LEFT_EYE[0]], mesh[RIGHT_EYE[1]]))
    level = square_of(np.zeros(2), 1.0, eyes, 1)
    turned = mesh @ level[:, :2].T
    least, most = turned.min(axis=0), turned.max(axis=0)
    centre = level[:, :2].T @ ((least + most) / 2)
    # a mesh that has shrunk to nothing would have no square
    return square_of(centre, max(1.0, _ENLARGED * float((most - least).max())), eyes, SIDE)
