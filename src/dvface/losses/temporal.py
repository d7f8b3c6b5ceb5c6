"""How far the restored movement is from the clean one; L_temp."""

from torch import Tensor
from torch.nn import functional

from dvface.losses.base import VideoLoss


class FrameDifferenceLoss(VideoLoss):
    """L1 between the differences of adjacent frames; L_temp, as in DOVE's second stage."""

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        return functional.l1_loss(restored.diff(dim=2), clean.diff(dim=2))
