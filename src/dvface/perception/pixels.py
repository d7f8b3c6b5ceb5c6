"""From tensors to the 8-bit frames that OpenCV and dlib read."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor


def to_bytes(frames: Tensor) -> NDArray[np.uint8]:
    """(N, 3, H, W) RGB in [-1, 1], clamped to it -> (N, H, W, 3) uint8, contiguous, rounded."""
    scaled = (frames.detach().float().cpu().permute(0, 2, 3, 1) + 1) * 127.5
    return np.ascontiguousarray(scaled.round().clamp(0, 255).numpy().astype(np.uint8))
