"""Warping error: how badly a frame is explained by the motion of the one before."""

from torch import Tensor

from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment, in_groups
from dvface.perception.optical_flow import FlowEstimator, visible, warp


class WarpingError(MeanMetric):
    """E*_warp × 10³ of the restored clip alone, at full resolution, as in EvalCrafter (Liu et al. 2024).

    The squared RGB difference on [0, 1], summed over channels, between a frame and the next one warped back
    onto it, averaged over the pixels that `visible` keeps, then over pairs. The flow is that of the restored
    clip's own frames. The script behind published numbers, the paper's among them, does something else
    (`EvalCrafterWarpingError`), so these cannot be compared with those.
    Blur lowers this measure. A clip of one frame, or one without any visible pixel, has no answer.

    Args:
        flow: whose flow is followed.
        name: of the measure: "ewarp", or "ewarp_dis" where it always is made with one flow.
    """

    higher_is_better = False
    of_pairs = True
    needs_clean = False

    def __init__(self, flow: FlowEstimator, name: str) -> None:
        super().__init__()
        self.flow = flow
        self.name = name
        self.definition = (
            f"10³ × mean over pairs of the squared RGB difference at full size after warping by {flow.name}'s flow"
        )
        self.file_name = flow.file_name
        self.least_side = flow.least_side

    def per_frame(self, segment: Segment) -> Tensor:
        """Error of each frame warped back onto the one before; NaN without a visible pixel."""
        pieces = zip(
            segment.pairs("restored"),
            in_groups(segment.flow(self.flow, "restored")),
            in_groups(segment.flow(self.flow, "restored", backward=True)),
            strict=True,
        )
        return segment.of_pairs(
            [_errors(first, second, forward, backward) for (first, second), forward, backward in pieces]
        )


def _errors(first: Tensor, second: Tensor, forward: Tensor, backward: Tensor) -> Tensor:
    """(N,), NaN for a pair without a visible pixel."""
    mask = visible(forward, backward)
    error = ((first - warp(second, forward)) / 2).square().sum(dim=1, keepdim=True)
    return 1e3 * (error * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3))
