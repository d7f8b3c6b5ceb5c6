"""Temporal perceptual error: change between frames, as a network sees it, that the clean clip has not."""

import torch
from torch import Tensor

from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import SIDES, Segment, in_groups
from dvface.perception.perceptual import FrameDistance


class TemporalPerceptualError(MeanMetric):
    """tLP of TecoGAN (Chu et al. 2020) with any distance d: mean |d(b[t-1], b[t]) − d(g[t-1], g[t])|.

    b is the restored clip, g the clean one. TecoGAN's tables show it times 100, this is the plain mean, and its
    script also leaves out a clip's two first and two last frames and a frame's border. It knows how much changes, not
    what: a clip that moves as much as the clean one elsewhere has no error, so it must be read beside a distance to
    the clean frames. A clip of one frame has no answer. It is computed in the frames' precision, whatever autocast
    says.

    Args:
        network: whose distance is taken; TecoGAN's is LPIPS 0.1 by AlexNet.
        name: of the measure: "tlpips" with that network, "tstlpips_alex" with shift-tolerant LPIPS.
    """

    higher_is_better = False
    of_pairs = True

    def __init__(self, network: FrameDistance, name: str) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.definition = (
            f"mean over pairs of |d(restored pair) − d(clean pair)|, d by {type(network).__name__}; "
            "tLP of TecoGAN (Chu et al. 2020) without its factor 100"
        )
        self.file_name = network.file_name
        self.least_side = network.least_side

    def per_frame(self, segment: Segment) -> Tensor:
        """Error of each frame's change from the one before."""
        with torch.autocast(segment.all("restored").device.type, enabled=False):
            restored, clean = (self.network.steps(in_groups(segment.all(side))) for side in SIDES)
        return segment.of_pairs([(restored - clean).abs()])
