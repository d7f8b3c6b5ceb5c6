"""Flicker: change from frame to frame that the clean clip has not."""

from torch import Tensor

from dvface.metrics.base import ClipMetric


class FrameDifferenceError(ClipMetric):
    """Mean |Δrestored − Δclean| on [0, 1], Δ from one frame to the next. One frame has no answer."""

    name = "frame_difference"
    higher_is_better = False

    def per_clip(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Error per clip."""
        difference = (restored.diff(dim=2) - clean.diff(dim=2)) / 2
        return difference.abs().flatten(1).mean(dim=1)
