"""Identity: whether a restored face is still the same person."""

import numpy as np
import torch
from torch import Tensor

from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment
from dvface.perception.faces import Box, DlibFaces
from dvface.perception.pixels import to_bytes


class IdentitySimilarity(MeanMetric):
    """Cosine similarity of dlib's identity of the largest face, restored against clean.

    The literature's IDS uses ArcFace; these numbers are not comparable with it, hence the name. The face is
    looked for in the clean frame, and the restored frame is read in the same box. A frame without a face is
    left out of the clip's mean; a clip without any has no answer.

    Args:
        faces: detector and identity.
        stride: every how many frames of a segment to look, at least 1.
    """

    name = "ids_dlib"
    definition = "mean over frames of the cosine between dlib's identities of the restored and the clean face"
    higher_is_better = True

    def __init__(self, faces: DlibFaces, stride: int = 4) -> None:
        super().__init__()
        self.faces = faces
        self.stride = stride
        self.file_name = faces.file_name

    def per_frame(self, segment: Segment) -> Tensor:
        """Similarity of each frame, in [-1, 1]."""
        values = segment.restored_like((segment.count,), torch.nan)
        own = slice(None, None, self.stride)
        pairs = zip(to_bytes(segment.own("restored")[own]), to_bytes(segment.own("clean")[own]), strict=True)
        for number, (restored, clean) in enumerate(pairs):
            for box in self.faces.detect(clean)[:1]:
                values[number * self.stride] = self._similarity(restored, clean, box)
        return values

    def _similarity(self, restored: np.ndarray, clean: np.ndarray, box: Box) -> float:
        one, other = self.faces.embed(restored, box), self.faces.embed(clean, box)
        return float(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
