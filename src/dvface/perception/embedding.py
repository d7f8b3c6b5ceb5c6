"""Whose face it is: networks that turn a face in a frame into numbers, the same for one person."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dvface.perception.arcface import ArcFace
from dvface.perception.detection import Face
from dvface.perception.face_crops import aligned_face
from dvface.perception.faces import box_of
from dvface.weights.catalogue import DLIB_IDENTITY, DLIB_LANDMARKS_5

_BATCH = 8
"""Faces that a network is given at once."""


class FaceEmbedding(Protocol):
    """An identity network with its own way of aligning faces.

    To place and to embed are two steps, so that one frame can be read exactly where another one's face lies.

    Attributes:
        name: of the network, as definitions show it.
        file_name: of its pretrained file.
    """

    name: str
    file_name: str

    def place(self, frame: NDArray[np.uint8], face: Face) -> NDArray[np.floating]:
        """(K, 2) x, y in pixels: the points that this network aligns ``face`` by, in ``frame`` (H, W, 3) uint8 RGB."""
        ...

    def embed(self, frames: Sequence[NDArray[np.uint8]], places: Sequence[NDArray[np.floating]]) -> Tensor:
        """(N, D) identities of the faces of N frames, (H, W, 3) uint8 RGB each, at their ``places``.

        Raises:
            ValueError: the points of a place coincide.
        """
        ...


class ArcFaceEmbedding(nn.Module):
    """`FaceEmbedding`: ArcFace on the field's aligned square, (N, 512) of unit length.

    The square is the 512 × 512 one of facexlib's face helper, found from five landmarks and shrunk to the network's
    112 × 112; ArcFace's authors cut faces a little tighter.

    Args:
        network: the identity network.
    """

    def __init__(self, network: ArcFace) -> None:
        super().__init__()
        self.network = network
        self.name = "ArcFace IR-SE50"
        self.file_name = network.file_name

    def place(self, frame: NDArray[np.uint8], face: Face) -> NDArray[np.floating]:
        """See `FaceEmbedding.place`: the face's five landmarks."""
        return face.landmarks

    @torch.inference_mode()
    def embed(self, frames: Sequence[NDArray[np.uint8]], places: Sequence[NDArray[np.floating]]) -> Tensor:
        """See `FaceEmbedding.embed`."""
        found = [torch.zeros(0, 512)]
        for start in range(0, len(frames), _BATCH):
            some = slice(start, start + _BATCH)
            faces = [aligned_face(frame, place) for frame, place in zip(frames[some], places[some], strict=True)]
            found.append(self.network.embed(self._to_frames(faces)).cpu())
        return torch.cat(found)

    def _to_frames(self, faces: Sequence[NDArray[np.uint8]]) -> Tensor:
        device = next(self.network.buffers()).device
        return torch.from_numpy(np.stack(faces)).to(device).permute(0, 3, 1, 2).float() / 127.5 - 1


class DlibEmbedding:
    """`FaceEmbedding`: dlib's identity (King 2017), (N, 128) float64, not of unit length, on the CPU.

    Two faces of less than 0.6 apart are one person's by dlib's own rule. Faces are aligned as dlib does it, by five
    points of its own.

    Raises:
        WeightsMissing: the landmark or the identity file cannot be had.
    """

    def __init__(self) -> None:
        import dlib

        identity = DLIB_IDENTITY.find()
        self.name = "dlib"
        self.file_name = identity.name
        self._dlib = dlib
        self._landmarks = dlib.shape_predictor(str(DLIB_LANDMARKS_5.find()))
        self._identity = dlib.face_recognition_model_v1(str(identity))

    def place(self, frame: NDArray[np.uint8], face: Face) -> NDArray[np.floating]:
        """See `FaceEmbedding.place`: corners of the eyes and the nose's base, whole pixels."""
        found = self._landmarks(frame, self._dlib.rectangle(*box_of(face.landmarks)))
        return np.array([(point.x, point.y) for point in found.parts()], np.float64)

    def embed(self, frames: Sequence[NDArray[np.uint8]], places: Sequence[NDArray[np.floating]]) -> Tensor:
        """See `FaceEmbedding.embed`."""
        if not len(frames):
            return torch.zeros(0, 128, dtype=torch.float64)
        pairs = zip(frames, places, strict=True)
        found = [self._identity.compute_face_descriptor(frame, self._shape(place)) for frame, place in pairs]
        return torch.from_numpy(np.array(found, np.float64))

    def _shape(self, place: NDArray[np.floating]) -> object:
        points = [self._dlib.point(round(float(x)), round(float(y))) for x, y in place]
        # the alignment reads the points alone
        return self._dlib.full_object_detection(self._dlib.rectangle(), points)
