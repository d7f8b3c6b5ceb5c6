"""Peak signal-to-noise ratio."""

from torch import Tensor

from dvface.metrics.base import FrameMetric

HIGHEST = 100.0


class PSNR(FrameMetric):
    """PSNR in dB over RGB, peak 1 on [0, 1]: frame -> clip -> set mean, as restoration papers report it.

    A frame of more than 100 dB, such as an identical one, counts as 100 dB: infinity would swallow the mean.
    """

    name = "psnr"
    definition = "mean over frames of PSNR in dB over RGB; a frame above 100 dB counts as 100"
    higher_is_better = True

    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """dB per frame, at most 100."""
        error = ((restored - clean) / 2).square().mean(dim=(1, 2, 3))
        return (-10 * error.log10()).clamp(max=HIGHEST)
