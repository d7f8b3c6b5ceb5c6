"""Structural similarity, on one scale and on five."""

import torch
from torch import Tensor
from torch.nn import functional

from dvface.metrics.base import FrameMetric
from dvface.metrics.structure import WINDOW, similarities
from dvface.perception.natural_statistics import luma

EXPONENTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""What each scale weighs, the finest first; Wang et al. 2003 found them by asking people."""


class SSIM(FrameMetric):
    """SSIM (Wang et al. 2004) over RGB on [0, 1]: Gaussian window of 11 pixels, σ 1.5, unpadded.

    On one CPU core a frame of 512 × 512 takes 20 ms, by torchmetrics 170 ms with borders that would have to be cut off.
    """

    name = "ssim"
    definition = "mean over frames of SSIM (Wang et al. 2004) over RGB, whole Gaussian windows of 11 pixels"
    higher_is_better = True
    least_side = WINDOW

    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """SSIM per frame."""
        return similarities(restored, clean)[0]


class LumaSSIM(SSIM):
    """SSIM over luma Y = 0.299 R + 0.587 G + 0.114 B, as pyiqa's ``ssim`` is unless told otherwise.

    Scripts of this field call that one, so published SSIM, the paper's probably too, is this. Luma is rounded to 8 bits
    there, and contrast and structure of opposite sign count as 0.
    """

    name = "ssim_y"
    definition = "mean over frames of SSIM (Wang et al. 2004) over 8-bit luma, as pyiqa's ssim is by default"

    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """SSIM of luma per frame."""
        # moments in float64: whole levels of 255 have exact squares there, and luma is one channel of three
        ours, theirs = (luma(frames)[:, None] / 127.5 - 1 for frames in (restored, clean))
        return similarities(ours, theirs, least_contrast=0.0)[0].to(restored.dtype)


class MultiScaleSSIM(FrameMetric):
    """MS-SSIM (Wang et al. 2003) over RGB on [0, 1]: Π cs_j^β_j over scales 1 to 4, times SSIM_5^β_5.

    cs_j and SSIM_5 are means over a scale's whole windows and all three channels, see `similarities`; each scale is
    the last one averaged over squares of 2 × 2 pixels, an odd last row or column with its own mirror image, as in
    the authors' code. A negative mean, of which there is no such power, counts as 0. It is torchmetrics' number
    but for the mirrored borders that theirs counts on the last scale, and pyiqa's with ``test_y_channel=False`` on
    frames whose cs is nowhere negative (theirs cuts each window's off) and whose sides can be halved four times.
    """

    name = "ms_ssim"
    definition = "mean over frames of MS-SSIM (Wang et al. 2003) over RGB, five scales; sides from 176 pixels on"
    higher_is_better = True
    least_side = WINDOW * 2 ** (len(EXPONENTS) - 1)  # below, no window fits the last scale

    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """MS-SSIM per frame."""
        whole, contrast = similarities(restored, clean)
        scales = [contrast]
        for _ in EXPONENTS[1:]:
            restored, clean = _halved(restored), _halved(clean)
            whole, contrast = similarities(restored, clean)
            scales.append(contrast)
        scales[-1] = whole
        means = torch.stack(scales, dim=1).clamp(min=0)
        return (means ** means.new_tensor(EXPONENTS)).prod(dim=1)


def _halved(frames: Tensor) -> Tensor:
    return functional.avg_pool2d(frames, kernel_size=2, ceil_mode=True)
