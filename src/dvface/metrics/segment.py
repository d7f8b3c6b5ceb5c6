"""Consecutive frames of a clip, and what networks see in them: computed once, whichever measures ask."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from functools import cached_property
from typing import Literal, TypeVar

import torch
from torch import Tensor

from dvface.perception.optical_flow import FlowEstimator

FRAMES = 16
"""Frames of a segment: they bound memory, and are what a video network is shown at once."""

PIXELS_AT_ONCE = 8 * 512 * 512
"""Pixels of one side that a network is given at once; bounds the memory that it takes."""

PIXELS_AT_ONCE_ON_CPU = 512 * 512
"""The same on a CPU, which gains nothing by more: VGG-16 on 8 frames at once takes 1.15 times as long as one by one."""

Side = Literal["restored", "clean"]
SIDES: tuple[Side, ...] = ("restored", "clean")
Block = tuple[Tensor, Tensor | None]
"""Frames of a clip, restored and clean: (N, 3, H, W) RGB in [-1, 1] each, clean None where there is none."""
Seen = TypeVar("Seen")


class Segment:
    """At most `FRAMES` frames of one clip in a row, and the one before them where there is one.

    Args:
        restored: (N, 3, H, W) RGB in [-1, 1].
        clean: the same shape, or None.
        before: the segment that ends where this one begins, None at a clip's start or after a gap. Its last frame
            stands before ``restored`` here, with what was seen in it.

    Attributes:
        joined: 1 where a frame of the segment before leads this one, else 0.
        count: how many frames are this segment's own.
    """

    def __init__(self, restored: Tensor, clean: Tensor | None, before: Segment | None = None) -> None:
        self.count = len(restored)
        self.joined = 0 if before is None else 1
        self._frames: dict[Side, Tensor | None] = {"restored": restored, "clean": clean}
        self._seen: dict[Hashable, list[object]] = {}
        self._flows: dict[Hashable, Tensor] = {}
        if before is not None:
            for side, frames in self._frames.items():
                if frames is not None:
                    self._frames[side] = torch.cat([before.all(side)[-1:], frames])
            # of the frame before, what was seen in it; lists grow to full length when somebody asks
            self._seen = {key: seen[-1:] for key, seen in before._seen.items() if len(seen) == len(before)}

    def __len__(self) -> int:
        """Frames, the leading one included."""
        return self.joined + self.count

    def all(self, side: Side) -> Tensor:
        """(joined + count, 3, H, W) frames of a side, the leading one included.

        Raises:
            ValueError: there is no clean side.
        """
        frames = self._frames[side]
        if frames is None:
            raise ValueError("the clip has no clean side")
        return frames

    def own(self, side: Side) -> Tensor:
        """(count, 3, H, W): the segment's own frames of a side."""
        return self.all(side)[self.joined :]

    def groups(self, side: Side) -> tuple[Tensor, ...]:
        """`own` in pieces that a network can take at once."""
        return in_groups(self.own(side))

    def pairs(self, side: Side) -> Iterator[tuple[Tensor, Tensor]]:
        """Each frame but the first of `all`, behind the one before it, in pieces: (first, second), (N, 3, H, W)."""
        frames = self.all(side)
        return zip(in_groups(frames[:-1]), in_groups(frames[1:]), strict=True)

    def of_pairs(self, values: list[Tensor]) -> Tensor:
        """(count,) from one number a pair, in pieces: a frame without one before it has NaN."""
        missing = self.restored_like((1 - self.joined,), torch.nan)
        return torch.cat([missing, *values])

    def restored_like(self, shape: tuple[int, ...], value: float) -> Tensor:
        """A tensor filled with ``value``, of the frames' type and device."""
        return self.all("restored").new_full(shape, value)

    @cached_property
    def _finite(self) -> Tensor:
        return self.all("restored").isfinite().flatten(1).all(dim=1)

    @property
    def sound(self) -> Tensor:
        """(count,) bool: a restored frame holds finite numbers alone."""
        return self._finite[self.joined :]

    @property
    def sound_steps(self) -> Tensor:
        """(count,) bool: a restored frame, and the one before it where there is one, hold finite numbers alone."""
        finite = self._finite if self.joined else torch.cat([self._finite[:1], self._finite])
        return finite[1:] & finite[:-1]

    def seen(self, key: Hashable, side: Side, look: Callable[[Tensor], list[Seen]]) -> list[Seen]:
        """What ``look`` finds in each frame of `all`; frames that were looked at under ``key`` are not looked at again.

        Args:
            key: of what is seen: who looks (the network object itself) and, where it can do several things, what.
            side: whose frames.
            look: frames (N, 3, H, W) -> N findings.
        """
        known = self._seen.setdefault((key, side), [])
        for frames in in_groups(self.all(side)[len(known) :]):
            known.extend(look(frames))
        return known  # type: ignore[return-value]

    def flow(self, estimator: FlowEstimator, side: Side, backward: bool = False) -> Tensor:
        """(len - 1, 2, H, W) optical flow of a side, pixels, from each frame to the next, or ``backward``."""
        key = (estimator, side, backward)
        if key not in self._flows:
            pieces = [
                estimator.flow(second, first) if backward else estimator.flow(first, second)
                for first, second in self.pairs(side)
            ]
            height, width = self.all(side).shape[-2:]
            self._flows[key] = torch.cat([self.restored_like((0, 2, height, width), 0.0), *pieces])
        return self._flows[key]


def in_groups(frames: Tensor) -> tuple[Tensor, ...]:
    """(N, 3, H, W) in pieces that a network can take at once, none where N = 0."""
    if not len(frames):
        return ()
    most = PIXELS_AT_ONCE_ON_CPU if frames.device.type == "cpu" else PIXELS_AT_ONCE
    return frames.split(max(1, most // (frames.shape[-2] * frames.shape[-1])))


def segments(blocks: Iterable[Block]) -> Iterator[Segment]:
    """Segments in a row, each behind the one before it.

    Args:
        blocks: consecutive frames of one clip, `FRAMES` in each but the last.
    """
    before = None
    for restored, clean in blocks:
        before = Segment(restored, clean, before)
        yield before


def blocks_of(restored: Tensor, clean: Tensor | None) -> Iterator[Block]:
    """A clip in memory, (3, T, H, W) twice or without a clean side, as `segments` takes it."""
    for start in range(0, restored.shape[1], FRAMES):
        own = slice(start, start + FRAMES)
        yield restored[:, own].transpose(0, 1), None if clean is None else clean[:, own].transpose(0, 1)
