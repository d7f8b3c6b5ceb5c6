"""Perceptual distance of frames."""

import torch
from torch import Tensor

from dvface.metrics.base import FrameMetric
from dvface.perception.perceptual import FrameDistance


class PerceptualDistance(FrameMetric):
    """The mean distance that a perceptual network sees, without unit, 0 for equal frames.

    It is computed in the frames' precision, whatever autocast says.

    Args:
        network: whose distance is taken.
        name: of the measure; it says which network it is: "stlpips_alex", "lpips_vgg".
    """

    higher_is_better = False

    def __init__(self, network: FrameDistance, name: str) -> None:
        super().__init__()
        self.network = network
        self.name = name
        self.definition = f"mean over frames of the distance that {type(network).__name__} sees, 0 for equal frames"
        self.file_name = network.file_name
        self.least_side = network.least_side

    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Distance per frame."""
        with torch.autocast(restored.device.type, enabled=False):
            distances: Tensor = self.network(restored, clean)
        return distances
