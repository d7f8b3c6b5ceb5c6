"""A long video in overlapping windows, at constant memory."""

from collections.abc import Iterable, Iterator

import numpy as np

from dvface.inference.clips import ClipRestorer, from_unit


class WindowedRestorer:
    """Restores frame streams of any length.

    Windows overlap and are cross-faded linearly over the overlap.

    Args:
        restorer: restores a window.
        window: frames of a window, ``temporal_stride``·k+1.
        overlap: frames that two windows share, less than half a window.

    Raises:
        ValueError: ``window`` or ``overlap`` does not fit.
    """

    def __init__(self, restorer: ClipRestorer, window: int = 17, overlap: int = 4) -> None:
        if (window - 1) % restorer.temporal_stride:
            raise ValueError(f"window {window} must be {restorer.temporal_stride}k+1 frames")
        if not 0 <= 2 * overlap < window:
            raise ValueError(f"overlap {overlap} must be less than half the window of {window} frames")
        self.restorer = restorer
        self.window = window
        self.overlap = overlap

    @property
    def step(self) -> int:
        """Frames from the start of a window to that of the next."""
        return self.window - self.overlap

    def __call__(self, frames: Iterable[np.ndarray], first: int = 0) -> Iterator[np.ndarray]:
        """(H, W, 3) uint8 or uint16 frames in, as many restored ones of that type out; holds about one window.

        Args:
            frames: of a video, from its frame ``first`` on.
            first: a multiple of `step`; but for the first `step` frames, what comes out is what comes out when the
                video is restored from its start.
        """
        source = iter(frames)
        held: list[np.ndarray] = []
        tail: np.ndarray | None = None  # the end of the window before, to be faded into the next
        while True:
            while len(held) < self.window and (frame := next(source, None)) is not None:
                held.append(frame)
            if len(held) <= self.overlap and tail is not None:
                # Everything held was restored as the end of the window before.
                yield from from_unit(tail, held[0].dtype) if held else ()
                return
            if not held:
                return
            restored = self.restorer.restore(np.stack(held), first)
            if tail is not None:
                shared = len(tail)
                fade = (np.arange(1, shared + 1, dtype=np.float32) / (shared + 1))[:, None, None, None]
                restored[:shared] = (1 - fade) * tail + fade * restored[:shared]
            last = len(held) < self.window
            ready = len(held) if last else self.step
            yield from from_unit(restored[:ready], held[0].dtype)
            if last:
                return
            held, tail, first = held[ready:], restored[ready:], first + ready
