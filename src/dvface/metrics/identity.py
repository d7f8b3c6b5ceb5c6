"""Identity: whether a restored face is still the same person."""

import torch
from torch import Tensor
from torch.nn import functional

from dvface.metrics.base import MeanMetric
from dvface.metrics.faces import faces, views
from dvface.metrics.segment import Segment
from dvface.perception.detection import FaceDetector
from dvface.perception.embedding import FaceEmbedding


class IdentitySimilarity(MeanMetric):
    """IDS: cosine similarity of the identity of the largest face, restored against clean.

    The face is looked for in the clean frame, and the restored frame is read at exactly the same place, so a face
    that has moved counts as a change. A frame without a face is left out of the clip's mean; a clip without any has
    no answer. Numbers of different networks are not comparable, hence the names.

    Args:
        embedding: the identity network.
        detector: finds the faces.
        name: of the measure; it says which network it is: "ids_arcface", "ids_dlib".
    """

    higher_is_better = True

    def __init__(self, embedding: FaceEmbedding, detector: FaceDetector, name: str) -> None:
        super().__init__()
        self.embedding = embedding
        self.detector = detector
        self.name = name
        self.definition = (
            f"mean over frames of the cosine between {embedding.name}'s identities of the restored and the clean face, "
            f"both read where the clean one is found ({detector.name})"
        )
        self.file_name = embedding.file_name

    def per_frame(self, segment: Segment) -> Tensor:
        """Similarity of each frame, in [-1, 1]; NaN without a face."""
        clean = faces(segment, self.detector, "clean")[segment.joined :]
        restored = views(segment, "restored")[segment.joined :]
        seen = [number for number, found in enumerate(clean) if found]
        largest = [clean[number][0] for number in seen]
        places = [self.embedding.place(each.pixels, each.face) for each in largest]
        one = self.embedding.embed([restored[number].pixels for number in seen], places)
        other = self.embedding.embed([each.pixels for each in largest], places)
        values = segment.restored_like((segment.count,), torch.nan)
        values[seen] = functional.cosine_similarity(one.double(), other.double()).to(values)
        return values
