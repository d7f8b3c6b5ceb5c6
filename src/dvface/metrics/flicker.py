"""Flicker: change from frame to frame that the clean clip has not."""

from torch import Tensor

from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment


class FrameDifferenceError(MeanMetric):
    """Mean |Δrestored − Δclean| on [0, 1], Δ from one frame to the next. One frame has no answer."""

    name = "frame_difference"
    definition = "mean over pairs of frames of |Δrestored − Δclean| on [0, 1], Δ from one frame to the next"
    higher_is_better = False
    of_pairs = True

    def per_frame(self, segment: Segment) -> Tensor:
        """Error of each frame's step from the one before."""
        pairs = zip(segment.pairs("restored"), segment.pairs("clean"), strict=True)
        return segment.of_pairs(
            [
                ((second - first) - (clean_second - clean_first)).abs().mean(dim=(1, 2, 3)) / 2
                for (first, second), (clean_first, clean_second) in pairs
            ]
        )
