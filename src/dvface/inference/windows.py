"""A long video in overlapping windows, at constant memory."""

from collections.abc import Iterable, Iterator

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dvface.models.restorer import Restorer


class WindowedRestorer:
    """Restores frame streams of any length and size.

    Windows overlap and are cross-faded linearly over the overlap; a short end is padded by repeating the last
    frame, borders by replication to the size that the model needs, and both paddings are cut off again.

    Args:
        model: the trained model.
        window: frames of a window, ``temporal_stride``·k+1.
        overlap: frames that two windows share, less than half a window.

    Raises:
        ValueError: ``window`` or ``overlap`` does not fit.
    """

    def __init__(self, model: Restorer, window: int = 17, overlap: int = 4) -> None:
        if (window - 1) % model.temporal_stride:
            raise ValueError(f"window {window} must be {model.temporal_stride}k+1 frames")
        if not 0 <= 2 * overlap < window:
            raise ValueError(f"overlap {overlap} must be less than half the window of {window} frames")
        self.model = model.eval()
        self.window = window
        self.overlap = overlap

    def __call__(self, frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 frames in, as many restored ones out; holds about one window in memory."""
        source = iter(frames)
        held: list[np.ndarray] = []
        tail: np.ndarray | None = None  # the end of the window before, to be faded into the next
        while True:
            while len(held) < self.window and (frame := next(source, None)) is not None:
                held.append(frame)
            if len(held) <= self.overlap and tail is not None:
                # Everything held was restored as the end of the window before.
                yield from _to_frames(tail)
                return
            if not held:
                return
            restored = self._restore(np.stack(held))
            if tail is not None:
                shared = len(tail)
                fade = (np.arange(1, shared + 1, dtype=np.float32) / (shared + 1))[:, None, None, None]
                restored[:shared] = (1 - fade) * tail + fade * restored[:shared]
            if len(held) < self.window:
                yield from _to_frames(restored)
                return
            ready = len(held) - self.overlap
            yield from _to_frames(restored[:ready])
            held, tail = held[ready:], restored[ready:]

    @torch.inference_mode()
    def _restore(self, frames: np.ndarray) -> np.ndarray:
        """(T, H, W, 3) uint8 to (T, H, W, 3) float32 in [0, 1]."""
        count, height, width, _ = frames.shape
        stride, multiple = self.model.temporal_stride, self.model.spatial_multiple
        missing = -(count - 1) % stride
        frames = np.concatenate([frames, np.repeat(frames[-1:], missing, axis=0)])
        device = next(self.model.parameters()).device
        video: Tensor = torch.from_numpy(frames).to(device).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
        padding = (0, -width % multiple, 0, -height % multiple, 0, 0)
        restored = self.model(functional.pad(video, padding, mode="replicate"))
        restored = restored[0, :, :count, :height, :width].clamp(-1, 1)
        return ((restored + 1) / 2).permute(1, 2, 3, 0).float().cpu().numpy()


def _to_frames(restored: np.ndarray) -> Iterator[np.ndarray]:
    """Float frames in [0, 1] to uint8."""
    yield from np.rint(restored * 255).astype(np.uint8)
