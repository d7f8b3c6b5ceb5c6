"""Faces through RetinaFace: small, turned and half-hidden ones too."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchvision.ops import nms

from dvface.perception.detection import Face
from dvface.perception.frozen import Frozen
from dvface.perception.retinaface_network import (
    Body,
    RetinaFaceNetwork,
    anchors,
    boxes_in_pixels,
    landmarks_in_pixels,
)
from dvface.perception.shrink import shrink
from dvface.weights import Weights, read_tensors
from dvface.weights.catalogue import RETINAFACE_MOBILENET, RETINAFACE_RESNET50

RETINAFACE_WEIGHTS: dict[Body, Weights] = {
    "mobilenet0.25": RETINAFACE_MOBILENET,
    "resnet50": RETINAFACE_RESNET50,
}


class RetinaFace(Frozen):
    """`FaceDetector`: RetinaFace (Deng et al. 2019, arXiv 1905.00641), trained on WIDER FACE.

    It reads the files that facexlib 0.3 distributes and gives that package's numbers. facexlib itself is no
    dependency: it has had no release since 2023, and brings a second OpenCV and numba.

    Args:
        body: "mobilenet0.25" for speed, "resnet50" for faces that are hard to see.
        side: frames whose longer side has more pixels are shrunk to it before they are looked at; smaller ones are
            not enlarged. The smallest anchors have 16 pixels there.
        least_score: faces below are left out; of [0, 1].
        overlap: of two boxes that share more (area in common over area of both) only the better one stays.
        batch: frames looked at together, at least 1; on one core 4 took the least time of 1, 4 and 16.
        weights: a state dict of that layout; by default looked up (`RETINAFACE_WEIGHTS`).

    Raises:
        UserError: ``weights`` does not exist or is not this network's.
        WeightsMissing: the file cannot be had.
    """

    mean: Tensor

    def __init__(
        self,
        body: Body = "mobilenet0.25",
        side: int = 640,
        least_score: float = 0.8,
        overlap: float = 0.4,
        batch: int = 4,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        declared = RETINAFACE_WEIGHTS[body]
        path = declared.find(weights)
        self.name = declared.name
        self.files = (path.name,)
        self.side = side
        self.least_score = least_score
        self.overlap = overlap
        self.batch = batch
        self.network = RetinaFaceNetwork(body)
        # ImageNet's blue, green and red
        self.register_buffer("mean", torch.tensor([104.0, 117.0, 123.0]).view(1, 3, 1, 1), persistent=False)
        # training on several GPUs prefixes every name
        state = {f"network.{key.removeprefix('module.')}": value for key, value in read_tensors(path).items()}
        self.freeze(state, path)

    @torch.inference_mode()
    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        return [
            faces
            for start in range(0, len(frames), self.batch)
            for faces in self._look(frames[start : start + self.batch])
        ]

    def _look(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        full_height, full_width = frames[0].shape[:2]
        pixels = torch.from_numpy(np.stack([shrink(frame, self.side) for frame in frames])).to(self.mean.device)
        height, width = pixels.shape[1:3]
        predictions = self.network(pixels.permute(0, 3, 1, 2).flip(1) - self.mean)
        squares = anchors(height, width).to(pixels.device)
        # as in training, where places are scaled with the frame
        scale = self.mean.new_tensor([full_width / width, full_height / height])
        found = []
        for scores, boxes, landmarks in zip(*predictions, strict=True):
            seen = scores > self.least_score
            scores, boxes = scores[seen], boxes_in_pixels(boxes[seen], squares[seen])
            points = landmarks_in_pixels(landmarks[seen], squares[seen])
            best = nms(boxes, scores, self.overlap)
            places = (torch.cat((boxes[best].view(-1, 2, 2), points[best]), dim=1) * scale).cpu().numpy()
            faces = [
                Face(box=place[:2].reshape(4), landmarks=place[2:], score=score)
                for place, score in zip(places, scores[best].tolist(), strict=True)
            ]
            found.append(sorted(faces, key=lambda face: face.side, reverse=True))
        return found
