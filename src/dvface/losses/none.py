"""A term that an experiment leaves out."""

from torch import Tensor

from dvface.losses.base import VideoLoss


class NoLoss(VideoLoss):
    """Nothing to minimise; its weight does not matter."""

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """Zero."""
        return restored.new_zeros(())
