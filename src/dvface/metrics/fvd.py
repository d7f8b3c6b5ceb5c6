"""FVD: the Fréchet distance of short pieces of video."""

from typing import Protocol

from torch import Tensor

from dvface.metrics.frechet import FrechetMetric
from dvface.metrics.segment import FRAMES, Segment, Side


class ClipFeatures(Protocol):
    """A network that sees a piece of video as a whole.

    Attributes:
        dimension: of what it sees.
        file_name: of its pretrained file.
    """

    dimension: int
    file_name: str | None

    def features(self, clips: Tensor) -> Tensor:
        """(N, 3, T, H, W) RGB in [-1, 1], any size -> (N, dimension)."""
        ...


class FrechetVideoDistance(FrechetMetric):
    """FVD (Unterthiner et al. 2018, arXiv 1812.01717): `FrechetMetric` on windows of 16 frames that do not overlap.

    Consecutive frames are cut into windows from their start, and every whole window of every clip is a sample. Frames
    left over count for nothing, but where fewer than 16 are all that there are in a row, 10 or more make one shorter
    window: public scripts begin at 10. Papers differ in which frames they take of a clip, in how many windows, and in
    the network's file, so their numbers can seldom be compared with these, or with each other.

    Args:
        network: whose features are taken; FVD's own is `dvface.perception.i3d.I3D`.
    """

    name = "fvd"
    definition = (
        "Fréchet distance of I3D's 400 logits between restored and clean windows of 16 frames (Unterthiner 2018)"
    )
    of_samples = "window(s)"
    shortest = 10

    def __init__(self, network: ClipFeatures) -> None:
        super().__init__(network.dimension)
        self.network = network
        self.file_name = network.file_name

    def features(self, segment: Segment, side: Side) -> Tensor:
        """(1, D) for the segment as a window, (0, D) where it is none."""
        frames = segment.own(side)
        whole = len(frames) == FRAMES
        alone = not segment.joined and len(frames) >= self.shortest
        if not (whole or alone):
            return frames.new_zeros(0, self.network.dimension)
        return self.network.features(frames.transpose(0, 1)[None])
