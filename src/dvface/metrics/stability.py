"""Identity instability: how much the person in a video changes from frame to frame."""

from itertools import pairwise

import cv2
import numpy as np
import torch
from torch import Tensor

from dvface.metrics.base import MeanMetric
from dvface.metrics.faces import Sighting, faces, noted, same_face
from dvface.metrics.segment import Segment
from dvface.perception.arcface import SIDE, ArcFace
from dvface.perception.detection import FaceDetector
from dvface.perception.embedding import FaceEmbedding
from dvface.perception.pixels import to_bytes


class _OfPairs(MeanMetric):
    """A mean over pairs of frames that says how many pairs have no answer."""

    higher_is_better = False
    needs_clean = False
    of_pairs = True

    def remark(self, evidence: Tensor) -> str:
        """How many pairs of frames have no answer; a clip's first frame has none before it."""
        pairs = evidence[1:]
        missing = int(pairs.isnan().sum())
        return f"{missing} of {len(pairs)} pairs of frames have no answer" if missing else ""


class IdentityInstability(_OfPairs):
    """VIDD on faces: mean L2 distance between the identities of one face in consecutive restored frames.

    The distance is that of VFRxBenchmark's ``calculate_vidd`` (Chen et al. 2024, arXiv 2404.19500), which is shown
    whole frames instead (`FrameIdentityInstability`). Here each frame's face is found and aligned, in two
    consecutive frames the same one: `same_face`. A pair without one has no answer. Movement of the head counts
    too, and blur lowers the number, so it says nothing alone: compare it with the clean clip's.

    Args:
        embedding: the identity network, whose own scale the distance has.
        detector: finds the faces.
        name: of the measure.
    """

    def __init__(self, embedding: FaceEmbedding, detector: FaceDetector, name: str = "vidd") -> None:
        super().__init__()
        self.embedding = embedding
        self.detector = detector
        self.name = name
        self.definition = (
            f"mean over pairs of consecutive frames of the L2 distance between {embedding.name}'s identities of the "
            f"face, found in each frame ({detector.name}); after VFRxBenchmark"
        )
        self.file_name = embedding.file_name

    def per_frame(self, segment: Segment) -> Tensor:
        """Distance of each frame's face from that in the frame before; NaN without two faces at one place."""
        pairs = [same_face(*two) for two in pairwise(faces(segment, self.detector, "restored"))]
        both = [sighting for pair in pairs if pair for sighting in pair]
        identities = iter(noted(both, (self.embedding, "identity"), self._identities))
        values = segment.restored_like((len(pairs),), torch.nan)
        for number, pair in enumerate(pairs):
            if pair:
                values[number] = torch.linalg.vector_norm(next(identities) - next(identities))
        return segment.of_pairs([values])

    def _identities(self, sightings: list[Sighting]) -> list[Tensor]:
        frames = [sighting.pixels for sighting in sightings]
        places = [self.embedding.place(sighting.pixels, sighting.face) for sighting in sightings]
        return list(self.embedding.embed(frames, places))


class FrameIdentityInstability(_OfPairs):
    """VIDD as VFRxBenchmark computes it (Chen et al. 2024, arXiv 2404.19500, ``calculate_vidd``), on ArcFace IR-SE50.

    Each restored frame is shown to the network whole, not aligned: 8 bits, resized to 112 × 112 by OpenCV's bilinear
    filter, in [-1, 1]. The number is the mean L2 distance between the identities of consecutive frames, of unit
    length. That script's other network, ArcFace ResNet-18 on grey frames, is nowhere to be had.

    Args:
        network: the identity network.
    """

    name = "vidd_arcface"
    definition = (
        "mean over pairs of consecutive frames of the L2 distance between ArcFace IR-SE50's unit-length identities of "
        "the whole frames at 112 × 112, not aligned; VFRxBenchmark's"
    )

    def __init__(self, network: ArcFace) -> None:
        super().__init__()
        self.network = network
        self.file_name = network.file_name

    def per_frame(self, segment: Segment) -> Tensor:
        """Distance of each frame from the one before, in [0, 2]."""
        identities = torch.stack(segment.seen((self.network, "whole frames"), "restored", self._identities))
        return segment.of_pairs([torch.linalg.vector_norm(identities[1:] - identities[:-1], dim=1)])

    def _identities(self, frames: Tensor) -> list[Tensor]:
        size = (SIDE, SIDE)
        small = [cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR) for frame in to_bytes(frames)]
        shown = torch.from_numpy(np.stack(small)).to(frames.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        return list(self.network.embed(shown))
