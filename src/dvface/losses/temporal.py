"""How far the restored movement is from the clean one; L_temp."""

import torch
from einops import rearrange
from torch import Tensor
from torch.nn import functional

from dvface.losses.base import VideoLoss
from dvface.losses.rotation import positive, rotating
from dvface.perception.optical_flow import FlowEstimator, visible, warp


class FrameDifferenceLoss(VideoLoss):
    """L1 between the differences of adjacent frames; L_temp, as in DOVE's second stage. One frame: zero."""

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        if restored.shape[2] == 1:
            return restored.diff(dim=2).sum()  # of nothing: zero, and still something to call backward() on
        return functional.l1_loss(restored.diff(dim=2), clean.diff(dim=2))


class WarpedConsistencyLoss(VideoLoss):
    """L1 between a restored frame and the next one warped back onto it along the clean clip's motion.

    With F the flow from clean frame t to t + 1, W the backward warp by F, and M the pixels of t that t + 1 shows
    too (`visible`), the loss is Σ M |y_t − W(y_{t+1})| / Σ M over pairs, pixels and channels: the short-term
    temporal loss of Lai et al. 2018, with Sundaram's visibility in place of their soft mask, and the clean
    clip's flow in place of the input's. y is the restored clip, for which a blurred clip scores well and a
    perfect one is zero only where the scene keeps its colours; or, relative to the clean clip, its error, for
    which a perfect clip is always zero and a constant error that moves with the scene costs nothing.

    A clip of one frame, or one without a visible pixel, costs nothing.

    Args:
        flow: estimates F and its opposite, on clean frames and without gradient.
        pairs: how many pairs of neighbours of each clip are looked at; which ones rotates with the step.
        relative_to_clean: y is restored minus clean.

    Raises:
        ValueError: ``pairs`` is below 1.
    """

    def __init__(self, flow: FlowEstimator, pairs: int, relative_to_clean: bool = False) -> None:
        super().__init__()
        self.flow = flow
        self.pairs = positive("pairs", pairs)
        self.relative_to_clean = relative_to_clean

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class; frames need as many pixels as ``flow`` asks for."""
        length = restored.shape[2]
        if length == 1:
            return restored.diff(dim=2).sum()
        firsts = rotating(length - 1, self.pairs, step)
        forward, seen = self._motion(_neighbours(clean, firsts))
        # in half precision a warp could not point between pixels
        moving = restored.to(clean.dtype)
        first, second = _neighbours(moving - clean if self.relative_to_clean else moving, firsts)
        distance = (first - warp(second, forward)).abs() * seen
        return distance.sum() / (seen.sum() * distance.shape[1]).clamp(min=1)

    @torch.no_grad()
    def _motion(self, clean: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Flow (N, 2, H, W) from the first frames to the second, and which pixels (N, 1, H, W) both show."""
        first, second = clean
        forward = self.flow.flow(first, second)
        return forward, visible(forward, self.flow.flow(second, first))


def _neighbours(video: Tensor, firsts: list[int]) -> tuple[Tensor, Tensor]:
    """(B, C, T, H, W) -> the frames at ``firsts`` and those that follow them, each (B · pairs, C, H, W)."""
    first, second = (
        rearrange(video[:, :, [position + ahead for position in firsts]], "b c t h w -> (b t) c h w")
        for ahead in (0, 1)
    )
    return first, second
