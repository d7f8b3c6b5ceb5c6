"""FID: the Fréchet distance of single frames."""

from typing import Protocol

import torch
from torch import Tensor

from dvface.metrics.frechet import FrechetMetric
from dvface.metrics.segment import Segment, Side


class FrameFeatures(Protocol):
    """A network that sees frames one by one.

    Attributes:
        dimension: of what it sees.
        file_name: of its pretrained file.
    """

    dimension: int
    file_name: str | None

    def features(self, frames: Tensor) -> Tensor:
        """(N, 3, H, W) RGB in [-1, 1], any size -> (N, dimension)."""
        ...


class FrechetInceptionDistance(FrechetMetric):
    """FID (Heusel et al. 2017, arXiv 1706.08500): `FrechetMetric` on all frames of all clips.

    Neighbouring frames are alike, so it says less than as many pictures would; and like FVD it knows nothing of which
    restored frame belongs to which clean one.

    Args:
        network: whose features are taken; FID's own is `dvface.perception.inception.FIDInception`.
    """

    name = "fid"
    definition = (
        "Fréchet distance of Inception-v3's 2048 pooled features between restored and clean frames (Heusel 2017)"
    )
    of_samples = "frame(s)"

    def __init__(self, network: FrameFeatures) -> None:
        super().__init__(network.dimension)
        self.network = network
        self.file_name = network.file_name

    def features(self, segment: Segment, side: Side) -> Tensor:
        """(count, D) of the segment's own frames."""
        seen = segment.seen((self.network, "features"), side, lambda frames: list(self.network.features(frames)))
        return torch.stack(seen[segment.joined :])
