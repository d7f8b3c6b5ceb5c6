"""Faces at known places, detectors that see them there, and models whose effect is known."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from dvface.inference.faces.found import Faces, FaceTrack
from dvface.perception.alignment import TEMPLATE
from dvface.perception.detection import Face


def marks_at(x: float, y: float, side: float, degrees: float = 0.0) -> np.ndarray:
    """(5, 2): landmarks of a face whose aligned square is ``side`` wide around x, y, turned clockwise."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return (TEMPLATE - 0.5) * side @ turn.T + [x, y]


def face_of(marks: np.ndarray) -> Face:
    box = np.concatenate((marks.min(axis=0), marks.max(axis=0)))
    return Face(box.astype(np.float32), marks.astype(np.float32), 1.0)


def track_of(marks: Sequence[np.ndarray] | np.ndarray, first: int = 0, opens: bool = True, closes: bool = True):
    landmarks = np.asarray(marks, float)
    return FaceTrack(first, landmarks, np.ones(len(landmarks), bool), opens, closes)


def faces_of(*tracks: FaceTrack, frames: int | None = None, cuts: tuple[int, ...] = ()) -> Faces:
    return Faces("known", frames or max(track.stop for track in tracks), cuts, tracks, 0, 0)


def noise(count: int, height: int, width: int, dtype: type = np.uint8) -> np.ndarray:
    """(T, H, W, 3) of all values that the type has."""
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (count, height, width, 3), dtype, endpoint=True)


class KnownFaces:
    """`FaceDetector`: sees in frame n what it was told of frame n; the first pixel of a frame holds its number."""

    name, files = "known", ()

    def __init__(self, faces: dict[int, list[np.ndarray]]) -> None:
        self.faces = faces
        self.looked: list[int] = []

    def detect(self, frames: Sequence[np.ndarray]) -> list[list[Face]]:
        numbers = [int(frame[0, 0, 0]) for frame in frames]
        self.looked += numbers
        return [[face_of(marks) for marks in self.faces.get(number, [])] for number in numbers]


def numbered(count: int, height: int = 48, width: int = 64) -> np.ndarray:
    """(T, H, W, 3): still, but for the number that `KnownFaces` reads."""
    frames = np.full((count, height, width, 3), 90, np.uint8)
    frames[:, 0, 0, 0] = np.arange(count)
    return frames


class Painter(nn.Module):
    """Adds a pattern (3, S, S) or one value, in units of [-1, 1], to every frame of every square."""

    temporal_stride = 4
    spatial_multiple = 8

    def __init__(self, pattern: Tensor | float) -> None:
        super().__init__()
        self.pattern = nn.Parameter(torch.as_tensor(pattern, dtype=torch.float32))
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, video: Tensor) -> Tensor:
        self.shapes.append(tuple(video.shape))
        pattern = self.pattern[None, :, None] if self.pattern.ndim == 3 else self.pattern
        return video + pattern
