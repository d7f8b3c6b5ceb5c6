"""Flow error: how far the movement of the restored clip is from the clean clip's."""

from torch import Tensor

from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment
from dvface.perception.optical_flow import FlowEstimator


class FlowError(MeanMetric):
    """tOF of TecoGAN (Chu et al. 2020): the end-point distance of restored and clean flow, in pixels.

    The mean of ‖F(x_t, x_{t+1}) − F(y_t, y_{t+1})‖₂ over the pixels inside a border, then over pairs: as in
    TecoGAN's script, that is the largest rectangle in the middle whose sides are multiples of 32 and whose distance
    from each side is 8 pixels or more. The script leaves out the first and the last two frames of a clip; here each
    pair counts. A clip of one frame, or one below 48 pixels a side, has no answer.

    Args:
        flow: whose flow is compared; TecoGAN's is `FarnebackFlow`.
    """

    name = "tof"
    higher_is_better = False
    of_pairs = True

    def __init__(self, flow: FlowEstimator) -> None:
        super().__init__()
        self.flow = flow
        self.definition = f"mean end-point distance in pixels of restored and clean {flow.name} flow, TecoGAN's tOF"
        self.file_name = flow.file_name

    def per_frame(self, segment: Segment) -> Tensor:
        """Error of each frame's movement since the one before."""
        difference = segment.flow(self.flow, "restored") - segment.flow(self.flow, "clean")
        return segment.of_pairs([_inside(difference).norm(dim=1).flatten(1).mean(dim=1)])


def _inside(flow: Tensor) -> Tensor:
    top, bottom = _middle(flow.shape[-2])
    left, right = _middle(flow.shape[-1])
    return flow[..., top:bottom, left:right]


def _middle(length: int) -> tuple[int, int]:
    kept = max(0, (length - 16) // 32 * 32)
    start = (length - kept) // 2
    return start, start + kept
