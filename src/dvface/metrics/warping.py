"""Warping error: how badly a frame is explained by the motion of the one before."""

import torch
from torch import Tensor

from dvface.metrics.base import ClipMetric
from dvface.perception.optical_flow import FlowEstimator, visible, warp

PAIRS_AT_ONCE = 4


class WarpingError(ClipMetric):
    """E*_warp × 10³ of the restored clip alone, at full resolution, as in EvalCrafter (Liu et al. 2024).

    The squared RGB difference on [0, 1], summed over channels, between a frame and the next one warped back
    onto it, averaged over the pixels that `visible` keeps, then over pairs. The flow is that of the restored
    clip's own frames. EvalCrafter's script also halves the frames, and scales their values down twice before
    RAFT-things sees them, so its numbers, the paper's among them, cannot be compared with these directly.
    Blur lowers this measure. A clip of one frame, or one without any visible pixel, has no answer.

    Args:
        flow: gives the measure its name, such as "ewarp_dis".
    """

    higher_is_better = False
    needs_clean = False

    def __init__(self, flow: FlowEstimator) -> None:
        super().__init__()
        self.flow = flow
        self.name = f"ewarp_{flow.name}"
        self.file_name = flow.file_name

    def per_clip(self, restored: Tensor, clean: Tensor) -> Tensor:
        """Error per clip; ``clean`` is not looked at."""
        return torch.stack([self._clip_error(video.transpose(0, 1)) for video in restored])

    def _clip_error(self, frames: Tensor) -> Tensor:
        if len(frames) < 2:
            return frames.new_tensor(torch.nan)
        pairs = zip(frames[:-1].split(PAIRS_AT_ONCE), frames[1:].split(PAIRS_AT_ONCE), strict=True)
        return torch.cat([self._pair_errors(first, second) for first, second in pairs]).nanmean()

    def _pair_errors(self, first: Tensor, second: Tensor) -> Tensor:
        """(N, 3, H, W) twice -> (N,), NaN for a pair without a visible pixel."""
        forward = self.flow.flow(first, second)
        mask = visible(forward, self.flow.flow(second, first))
        error = ((first - warp(second, forward)) / 2).square().sum(dim=1, keepdim=True)
        return 1e3 * (error * mask).sum(dim=(1, 2, 3)) / mask.sum(dim=(1, 2, 3))
