"""How far restored pixels, or latents, are from clean ones; L_rec."""

from torch import Tensor
from torch.nn import functional

from dvface.losses.base import VideoLoss


class CharbonnierLoss(VideoLoss):
    """√(d² + ε²), an L1 that is smooth at zero (Charbonnier et al. 1994); L_rec.

    Args:
        epsilon: where the curve bends; in units of pixel values.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        return ((restored - clean).square() + self.epsilon**2).sqrt().mean()


class MeanSquaredLoss(VideoLoss):
    """Mean squared error: of pixels as DOVE's second stage has it, of latents as its first."""

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        return functional.mse_loss(restored, clean)


class AbsoluteLoss(VideoLoss):
    """Mean absolute error, L1."""

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        return functional.l1_loss(restored, clean)


class LogarithmicLoss(VideoLoss):
    """ln of each clip's mean `CharbonnierLoss`, averaged over the clips of a batch; L_rec.

    Halving a clip's error is worth the same however large the error is, so that the badly degraded do not drown the
    good. With squares in place of absolute differences it is the PSNR loss of HINet (arXiv 2105.06086) and NAFNet.

    Args:
        epsilon: see `CharbonnierLoss`.
        floor: added to the mean error, in units of pixel values; errors far below it are not worth halving.
    """

    def __init__(self, epsilon: float = 1e-3, floor: float = 4e-3) -> None:
        super().__init__()
        self.epsilon = epsilon
        self.floor = floor

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class; without a bound below 0."""
        error = ((restored - clean).square() + self.epsilon**2).sqrt().flatten(1).mean(dim=1)
        return (error + self.floor).log().mean()
