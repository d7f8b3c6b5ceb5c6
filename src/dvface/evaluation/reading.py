"""Two videos read side by side, a segment's frames at a time, while the segment before is measured.

Colours come from FFmpeg's default conversion, which every other measuring script has: with the accurate one of this
package PSNR of H.264 4:2:0 is up to 0.03 dB higher (measured on five videos of the paper's project page).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from dvface.data.stream import to_tensor
from dvface.errors import UserError
from dvface.evaluation.synchrony import Run
from dvface.metrics.segment import FRAMES, Segment
from dvface.video.colour import COMMON
from dvface.video.read import read_frames

AHEAD = 2
"""Pieces that are decoded while one is measured."""

Item = TypeVar("Item")


@dataclass(frozen=True)
class Piece:
    """Frames that stand in a row on both sides.

    Attributes:
        first: number of the first one in the restored video.
        restored: (N, H, W, 3) uint8 RGB, N at most `FRAMES`.
        clean: the same shape, or None where there is no reference.
        joined: whether the frame before the first one was the last of the piece before.
    """

    first: int
    restored: np.ndarray
    clean: np.ndarray | None
    joined: bool

    def segment(self, before: Segment | None, device: torch.device) -> Segment:
        """The piece as measures watch it, behind the one before it where it is joined."""
        restored = to_tensor(self.restored).transpose(0, 1).to(device)
        clean = None if self.clean is None else to_tensor(self.clean).transpose(0, 1).to(device)
        return Segment(restored, clean, before if self.joined else None)


def pieces(restored: Path, reference: Path | None, runs: Sequence[Run]) -> Iterator[Piece]:
    """The frames of ``runs``, decoded ahead on a thread of their own.

    Args:
        restored: a video file or a folder of frames.
        reference: likewise, or None.
        runs: which frames belong together, in order; those of ``reference`` do not matter where there is none.

    Raises:
        UserError: a video cannot be read, or has fewer frames than ``runs`` say.
    """
    return decoded_ahead(_pieces(restored, reference, runs))


def _pieces(restored: Path, reference: Path | None, runs: Sequence[Run]) -> Iterator[Piece]:
    ours = _Reader(restored)
    theirs = None if reference is None else _Reader(reference)
    for run in runs:
        for start in range(0, run.frames, FRAMES):
            count = min(FRAMES, run.frames - start)
            clean = None if theirs is None else theirs.read(run.reference + start, count)
            yield Piece(run.restored + start, ours.read(run.restored + start, count), clean, joined=start > 0)


class _Reader:
    """Reads a video forwards."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._frames = read_frames(path, COMMON)
        self._next = 0

    def read(self, start: int, count: int) -> np.ndarray:
        frames = list(islice(self._frames, start - self._next, start - self._next + count))
        self._next = start + count
        if len(frames) < count:
            raise UserError(f"{self._path} has fewer frames than a moment ago; measure it when nobody writes it")
        return np.stack(frames)


def decoded_ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The same items; the next `AHEAD` are made on one other thread while one is used."""
    source, end = iter(items), object()
    with ThreadPoolExecutor(max_workers=1) as pool:
        coming = deque(pool.submit(next, source, end) for _ in range(AHEAD))
        while (item := coming.popleft().result()) is not end:
            coming.append(pool.submit(next, source, end))
            yield item  # type: ignore[misc]
