"""What a test set's protocol is."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.source import Source

Frames = Callable[[], Iterator[np.ndarray]]
"""Reads a side anew: frames of (H, W, 3) uint8 RGB, one at a time."""


@dataclass(frozen=True)
class About:
    """What is known of the protocol under which the paper's numbers were measured.

    Attributes:
        source: where the material comes from.
        confirmed: read in code, pictures or clips that the authors published.
        inferred: likely, not stated.
        unknown: not published; numbers of such a set are not comparable with the paper's in this point.
    """

    source: str
    confirmed: tuple[str, ...]
    inferred: tuple[str, ...]
    unknown: tuple[str, ...]


@dataclass(frozen=True)
class Sides:
    """A clip of the test set, ready to be written.

    Attributes:
        rate: frames a second.
        degraded: the side to be restored.
        clean: the reference, the same number and size of frames; None where there is none.
        meta: what else the manifest should say, see `dvface.data.shards.Clip`.
    """

    rate: Fraction
    degraded: Frames
    clean: Frames | None
    meta: dict[str, Any]


class Item(Protocol):
    """A clip of the test set before anything is read; must pickle."""

    @property
    def key(self) -> str:
        """Unique in the test set and safe as a file's name."""
        ...

    @property
    def name(self) -> str:
        """Of the input that it is made of, for messages."""
        ...

    def open(self, scratch: Path) -> AbstractContextManager[Sides]:
        """Its sides for as long as the context lasts.

        Args:
            scratch: folder for what must be unpacked.

        Raises:
            UserError: the input cannot be used; one sentence.
        """
        ...


@dataclass(frozen=True)
class TestsetPlan:
    """All clips of a test set.

    Attributes:
        items: what is made, in the order of their keys.
        sources: what it is made of.
        rejected: inputs that were refused.
    """

    items: Sequence[Item]
    sources: Sequence[Source]
    rejected: Sequence[Rejection]


class Benchmark(Protocol):
    """Finds the clips of one test set; its numbers are constructor arguments."""

    about: ClassVar[About]

    def plan(self, root: Path, seed: int, scratch: Path) -> TestsetPlan:
        """What is to be made: a function of the input, the settings and the seed alone.

        Args:
            root: the input.
            seed: decides what is drawn.
            scratch: folder for what must be unpacked to be looked at.

        Raises:
            UserError: the input does not hold what the protocol needs.
        """
        ...
