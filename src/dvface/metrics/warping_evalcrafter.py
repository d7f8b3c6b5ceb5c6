"""Warping error by the arithmetic of EvalCrafter's script, for comparison with published tables alone."""

from torch import Tensor
from torch.nn import functional

from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment
from dvface.perception.optical_flow import FlowEstimator, visible, warp


class EvalCrafterWarpingError(MeanMetric):
    """10³ × what `compute_video_warping_error` of EvalCrafter (Liu et al. 2024) returns for a clip.

    `WarpingError` is the measure that this one means to be; this one keeps what the script does:

    - Frames are halved, bilinear without smoothing, and padded to sides that are multiples of 8, the border
      repeated; what is padded counts like the rest.
    - RAFT expects values up to 255 and is shown values up to 1, so it sees pictures of nearly one colour.
    - A pair without a visible pixel counts as zero.

    The script reads 8-bit video: frames that were not rounded to 8 bits give another number than their file would.
    Below 256 pixels a side, where its RAFT has no answer, this one's pads further, and has. A clip of one frame has
    no answer. A blurred clip does well.

    Args:
        flow: whose flow is followed; the script's is RAFT-things with 20 updates.
    """

    name = "ewarp_paper"
    higher_is_better = False
    of_pairs = True
    needs_clean = False

    def __init__(self, flow: FlowEstimator) -> None:
        super().__init__()
        self.flow = flow
        self.definition = (
            f"10³ × EvalCrafter's warping error as its script computes it: half-size frames, {flow.name}'s flow of "
            "frames 255 times too dark"
        )
        self.file_name = flow.file_name
        self.least_side = 2  # frames are halved

    def per_frame(self, segment: Segment) -> Tensor:
        """Error of each frame warped back onto the one before."""
        return segment.of_pairs([self._errors(first, second) for first, second in segment.pairs("restored")])

    def _errors(self, first: Tensor, second: Tensor) -> Tensor:
        first, second = _halved(first), _halved(second)
        forward = self.flow.flow(_as_seen(first), _as_seen(second))
        mask = visible(forward, self.flow.flow(_as_seen(second), _as_seen(first)))
        error = (first - warp(second, forward)).square().sum(dim=1, keepdim=True)
        return 1e3 * (error * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3)).clamp(min=1)


def _halved(frames: Tensor) -> Tensor:
    """(N, 3, H, W) in [-1, 1] -> half the size, in [0, 1], padded on all sides to multiples of 8."""
    halved = functional.interpolate((frames + 1) / 2, scale_factor=0.5, mode="bilinear", align_corners=False)
    rows, columns = (-length % 8 for length in halved.shape[-2:])
    padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)
    return functional.pad(halved, padding, mode="replicate")


def _as_seen(frames: Tensor) -> Tensor:
    """[0, 1] as if it were 8-bit -> RAFT's [-1, 1]; the script's slip, which its published numbers carry."""
    return 2 * (frames / 255) - 1
