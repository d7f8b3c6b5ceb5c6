"""What is shown of a restoration: mixed with the input, beside it, or one half of each."""

import numpy as np

from dvface.inference.clips import ClipRestorer, to_unit


class Unchanged:
    """`ClipRestorer` that gives back what it gets: for clips without a face."""

    temporal_stride = 1

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """See `ClipRestorer`."""
        return to_unit(frames)


class Blended:
    """`ClipRestorer`: a mixture of the restoration and its input.

    Args:
        restorer: restores.
        fidelity: share of the input, 0 to 1.
    """

    def __init__(self, restorer: ClipRestorer, fidelity: float) -> None:
        self.restorer = restorer
        self.temporal_stride = restorer.temporal_stride
        self.fidelity = fidelity

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """See `ClipRestorer`."""
        restored = self.restorer.restore(frames, first)
        return restored + np.float32(self.fidelity) * (to_unit(frames) - restored)


class SideBySide:
    """`ClipRestorer`: the input at the left, the restoration at the right.

    Args:
        restorer: restores.
    """

    def __init__(self, restorer: ClipRestorer) -> None:
        self.restorer = restorer
        self.temporal_stride = restorer.temporal_stride

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """See `ClipRestorer`."""
        return np.concatenate([to_unit(frames), self.restorer.restore(frames, first)], axis=2)


class SplitScreen:
    """`ClipRestorer`: the input's left half and the restoration's right half, a white line between them.

    Args:
        restorer: restores.
    """

    def __init__(self, restorer: ClipRestorer) -> None:
        self.restorer = restorer
        self.temporal_stride = restorer.temporal_stride

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """See `ClipRestorer`."""
        restored = self.restorer.restore(frames, first)
        middle = frames.shape[2] // 2
        restored[:, :, :middle] = to_unit(frames[:, :, :middle])
        restored[:, :, middle : middle + max(1, frames.shape[2] // 256)] = 1
        return restored
