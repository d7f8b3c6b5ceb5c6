"""Peak signal-to-noise ratio, over RGB and over luma."""

from torch import Tensor

from dvface.metrics.base import FrameMetric

HIGHEST = 100.0
LUMA = (65.481 / 255, 128.553 / 255, 24.966 / 255)
"""ITU-R BT.601: what R, G and B in [0, 1] add to luma, which runs from 16/255 to 235/255."""


class PSNR(FrameMetric):
    """PSNR in dB over RGB, peak 1 on [0, 1]: frame -> clip -> set mean, as restoration papers report it.

    A frame of more than 100 dB, such as an identical one, counts as 100 dB: infinity would swallow the mean. How
    many frames did is said of each clip. pyiqa adds 1e-8 to the squared error instead, so its numbers end at 80 dB
    and are lower than these by 0.004 dB at 50 dB, by less below.
    """

    name = "psnr"
    definition = "mean over frames of PSNR in dB over RGB; a frame above 100 dB counts as 100"
    higher_is_better = True

    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """dB per frame, at most 100."""
        error = self._measured((restored - clean) / 2).square().mean(dim=(1, 2, 3))
        return (-10 * error.log10()).clamp(max=HIGHEST)

    def remark(self, evidence: Tensor) -> str:
        """How many frames count as 100 dB, beside those without an answer."""
        capped = int((evidence == HIGHEST).sum())
        said = f"{capped} of {len(evidence)} frames are as good as identical and count as {HIGHEST:g} dB"
        return "; ".join(part for part in (super().remark(evidence), said if capped else "") if part)

    def _measured(self, difference: Tensor) -> Tensor:
        """Of an RGB difference (N, 3, H, W) on [0, 1], what is measured, peak 1."""
        return difference


class LumaPSNR(PSNR):
    """PSNR in dB over BT.601 luma, Y = 16 + 65.481 R + 128.553 G + 24.966 B of RGB in [0, 1], peak 255.

    This is the luma of MATLAB's ``rgb2ycbcr`` of floating-point pictures: 16 to 235 and not rounded to whole steps,
    although the peak is 255. pyiqa says ``test_y_channel=True, color_space="ycbcr"``; without the colour space it
    takes luma from 0 to 255, whose PSNR is lower by 20 log10(255 / 219) = 1.322 dB, whatever the frames.
    """

    name = "psnr_y"
    definition = "mean over frames of PSNR in dB over BT.601 luma, 16 to 235 of 255; above 100 dB counts as 100"

    def _measured(self, difference: Tensor) -> Tensor:
        return (difference * difference.new_tensor(LUMA).view(1, 3, 1, 1)).sum(dim=1, keepdim=True)
