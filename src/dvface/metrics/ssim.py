"""Structural similarity."""

from torch import Tensor
from torchmetrics.functional.image import structural_similarity_index_measure

from dvface.errors import UserError
from dvface.metrics.base import FrameMetric

WINDOW = 11


class SSIM(FrameMetric):
    """SSIM (Wang et al. 2004) over RGB on [0, 1]: Gaussian window of 11 pixels, σ 1.5, unpadded."""

    name = "ssim"
    definition = "mean over frames of SSIM (Wang et al. 2004) over RGB, whole Gaussian windows of 11 pixels"
    higher_is_better = True

    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """SSIM per frame.

        Raises:
            UserError: the frames are smaller than the window.
        """
        height, width = restored.shape[-2:]
        if min(height, width) < WINDOW:
            raise UserError(
                f"measure ssim needs frames of at least {WINDOW} pixels a side, got {width}x{height}; "
                "leave ssim out of the metrics or use larger frames"
            )
        similarity = structural_similarity_index_measure(
            (restored + 1) / 2,
            (clean + 1) / 2,
            sigma=1.5,
            kernel_size=WINDOW,
            data_range=1.0,
            reduction="none",
            return_full_image=True,
        )[1]
        # torchmetrics reflects the borders and counts them; the usual SSIM has whole windows alone
        border = WINDOW // 2
        return similarity[..., border:-border, border:-border].mean(dim=(1, 2, 3))
