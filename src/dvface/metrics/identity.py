"""Identity: whether a restored face is still the same person."""

import numpy as np
import torch
from torch import Tensor

from dvface.metrics.base import ClipMetric
from dvface.perception.faces import DlibFaces
from dvface.perception.pixels import to_bytes


class IdentitySimilarity(ClipMetric):
    """Cosine similarity of dlib's identity of the largest face, restored against clean.

    The literature's IDS uses ArcFace; these numbers are not comparable with it, hence the name. The face is
    looked for in the clean frame, and the restored frame is read in the same box. A frame without a face is
    left out of the clip's mean; a clip without any has no answer.

    Args:
        faces: detector and identity.
        stride: every how many frames to look, at least 1.
    """

    name = "ids_dlib"
    higher_is_better = True

    def __init__(self, faces: DlibFaces, stride: int = 4) -> None:
        super().__init__()
        self.faces = faces
        self.stride = stride
        self.file_name = faces.file_name

    def per_clip(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Similarity per clip, in [-1, 1]."""
        clips = zip(restored[:, :, :: self.stride], clean[:, :, :: self.stride], strict=True)
        return restored.new_tensor([self._clip_similarity(one, other) for one, other in clips])

    def _clip_similarity(self, restored: Tensor, clean: Tensor) -> float:
        similarities = []
        frames = zip(to_bytes(restored.transpose(0, 1)), to_bytes(clean.transpose(0, 1)), strict=True)
        for restored_frame, clean_frame in frames:
            for box in self.faces.detect(clean_frame)[:1]:
                one = self.faces.embed(restored_frame, box)
                other = self.faces.embed(clean_frame, box)
                similarities.append(one @ other / (np.linalg.norm(one) * np.linalg.norm(other)))
        return float(np.mean(similarities)) if similarities else torch.nan
