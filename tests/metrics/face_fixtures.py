"""Stand-ins whose answers are known, and a real portrait, for the measures of faces."""

import numpy as np
import torch
from PIL import Image

from dvface.perception.alignment import TEMPLATE
from dvface.perception.detection import Face
from dvface.weights import PackagedFile


def portrait_clip(frames=1):
    """(1, 3, T, 200, 200) in [-1, 1], a face of 87 pixels."""
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    picture = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1).float() / 127.5 - 1
    return picture[None, :, None, 20:220, 120:320].repeat(1, 1, frames, 1, 1)


def shifted(clip, x, y):
    """The clip's content moved to the right and down by whole pixels; its rim is repeated."""
    moved = torch.nn.functional.pad(clip[0], (x, 0, y, 0), mode="replicate")
    return moved[None, ..., : clip.shape[-2], : clip.shape[-1]]


def face_at(left, top, side):
    """A face whose aligned square is ``side`` pixels wide, its corner at left, top."""
    landmarks = (TEMPLATE * side + (left, top)).astype(np.float32)
    return Face(np.array([left, top, left + side, top + side], np.float32), landmarks, 1.0)


class KnownFaces:
    """A detector that is told the faces: by the red of a frame's first pixel, 0 to 255. It counts its frames."""

    name = "known faces"
    files = ()

    def __init__(self, by_red):
        self.by_red = by_red
        self.looked = 0

    def detect(self, frames):
        self.looked += len(frames)
        return [list(self.by_red.get(int(frame[0, 0, 0]), [])) for frame in frames]


class KnownIdentities:
    """An identity network that is told the vectors: by the red of the pixel in the middle of the face."""

    name = "known"
    file_name = "known.pth"

    def __init__(self, by_red):
        self.by_red = by_red
        self.looked = 0

    def place(self, frame, face):
        return face.landmarks

    def embed(self, frames, places):
        self.looked += len(frames)
        middles = [place.mean(axis=0).round().astype(int) for place in places]
        reds = [int(frame[y, x, 0]) for frame, (x, y) in zip(frames, middles, strict=True)]
        return torch.tensor([self.by_red[red] for red in reds], dtype=torch.float64).reshape(len(frames), -1)


def painted(reds, size=40):
    """(1, 3, T, size, size): flat frames, red 0 to 255 each, green and blue 0."""
    clip = torch.full((1, 3, len(reds), size, size), -1.0)
    clip[0, 0] = (torch.tensor(reds, dtype=torch.float32) / 127.5 - 1).view(-1, 1, 1)
    return clip


def measure(metric, restored, clean=None):
    metric.reset()
    metric.update(restored, clean)
    return metric.compute().item()
