"""How alike the structure of two frames is in small windows: what SSIM and MS-SSIM average."""

import torch
from torch import Tensor
from torch.nn import functional

WINDOW = 11
DEVIATION = 1.5
# (0.01 L)² and (0.03 L)² of Wang et al. 2004, where values span L = 2
_C1, _C2 = 4e-4, 36e-4


def similarities(first: Tensor, second: Tensor, least_contrast: float = -1.0) -> tuple[Tensor, Tensor]:
    """Mean over channels and whole windows of SSIM, and of its contrast and structure alone.

    Per window of 11 × 11 Gaussian weights, σ 1.5 (Wang et al. 2004): l = (2 μx μy + C1) / (μx² + μy² + C1),
    cs = (2 σxy + C2) / (σx² + σy² + C2), SSIM = l · cs. Windows that reach over a border are not counted. It runs
    in the frames' precision whatever autocast says: variances are small differences of large numbers.

    Args:
        first: (N, C, H, W) in [-1, 1], H and W at least `WINDOW`.
        second: the same shape.
        least_contrast: a window's cs below it counts as this; 0 is pyiqa's habit.

    Returns:
        SSIM (N,) and cs (N,), both in [-1, 1] and 1 for equal frames.
    """
    with torch.autocast(first.device.type, enabled=False):
        moments = torch.cat([first, second, first.square() + second.square(), first * second], dim=1)
        x, y, power, product = _windowed(moments).chunk(4, dim=1)
    # pixels around 0 keep these differences exact; means alone are moved to [0, 2], where SSIM is defined
    contrast = (2 * (product - x * y) + _C2) / (power - (x.square() + y.square()) + _C2)
    contrast = contrast.clamp(min=least_contrast)
    x, y = x + 1, y + 1
    luminance = (2 * (x * y) + _C1) / (x.square() + y.square() + _C1)
    return (luminance * contrast).mean(dim=(1, 2, 3)), contrast.mean(dim=(1, 2, 3))


def _windowed(maps: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H - 10, W - 10), the Gaussian mean of each whole window."""
    channels = maps.shape[1]
    if maps.device.type == "cpu":
        # the CPU's kernel for one filter a channel is faster in this layout; on a GPU it might round to TF32
        maps = maps.contiguous(memory_format=torch.channels_last)
    line = torch.exp(-((torch.arange(WINDOW, dtype=torch.float64) - WINDOW // 2) ** 2) / (2 * DEVIATION**2))
    line = (line / line.sum()).to(maps).repeat(channels, 1, 1, 1)
    return functional.conv2d(functional.conv2d(maps, line.transpose(2, 3), groups=channels), line, groups=channels)
