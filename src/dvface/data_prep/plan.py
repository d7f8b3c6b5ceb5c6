"""What is to be made, in pieces that are done whole or not at all."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np


@dataclass(frozen=True)
class Rejection:
    """An input of which nothing is made.

    Attributes:
        source: its name, relative to the input folder.
        reason: one sentence.
    """

    source: str
    reason: str


@dataclass(frozen=True)
class CleanClip:
    """A clip that was read and is not degraded yet.

    Attributes:
        key: unique in the data set.
        frames: (T, H, W, 3) uint8 RGB.
        rate: frames a second.
        meta: what is known of it, JSON.
    """

    key: str
    frames: np.ndarray
    rate: Fraction
    meta: dict[str, Any]


class Unit(Protocol):
    """A piece of work: some clips whose files, once all are written, are done with."""

    @property
    def name(self) -> str:
        """Unique in the plan, and fit to be a file's name."""
        ...

    @property
    def count(self) -> int:
        """How many clips it promises."""
        ...

    def read(self) -> Iterator[CleanClip | Rejection]:
        """Its clips one after another, and what could not be read."""
        ...


@dataclass(frozen=True)
class Plan:
    """All work of one data set.

    Attributes:
        units: in the order of their names.
        rejected: inputs that were refused before any was read whole.
        left_out: frames that fill no clip at the ends of their videos.
        largest: name and values (T·H·W·3) of the largest clip.
    """

    units: Sequence[Unit]
    rejected: Sequence[Rejection] = ()
    left_out: int = 0
    largest: tuple[str, int] = ("", 0)


@dataclass(frozen=True)
class Cutting:
    """How footage is cut into clips and clips are put together.

    Attributes:
        frames: of a clip; None makes one clip of each video.
        clips_per_unit: so many clips make a unit.
        mixed: whether a unit may hold clips of several videos, as a shard does.
    """

    frames: int | None
    clips_per_unit: int
    mixed: bool = False


class Footage(Protocol):
    """Clean footage to make a data set of."""

    def statement(self) -> dict[str, Any]:
        """What it is, JSON; other footage says something else."""
        ...

    def plan(self, cutting: Cutting, known: Mapping[str, Any] | None) -> tuple[Plan, dict[str, Any]]:
        """The work, a function of footage and cutting alone.

        Args:
            cutting: how it is cut.
            known: what an earlier call gave besides the plan; saves looking at every file again.

        Returns:
            The plan, and what is worth remembering, JSON.

        Raises:
            UserError: two clips would have one key.
        """
        ...

    def excerpt(self, frames: int) -> np.ndarray:
        """Some frames of the first readable clip, around its middle: (T, H, W, 3) uint8.

        Raises:
            UserError: nothing can be read.
        """
        ...


def starts(frames: int, cutting: Cutting) -> tuple[list[int | None], int]:
    """First frames of the clips of one video, and the frames left over; ``[None]``: the video is one clip."""
    if cutting.frames is None:
        return [None], 0
    whole = frames // cutting.frames
    return [number * cutting.frames for number in range(whole)], frames - whole * cutting.frames


def clip_key(key: str, start: int | None) -> str:
    """``KEY``, or ``KEY-000012`` for the clip that starts at frame 12."""
    return key if start is None else f"{key}-{start:06d}"


def too_short(frames: int, cutting: Cutting) -> str:
    """Why a video gives no clip."""
    return f"is too short: {frames} of clip_frames={cutting.frames} frames"
