"""What the making of one training clip spends its time on, measured where it is made: in a loader's worker."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, IterableDataset

from dvface.data import pairing
from dvface.data.datamodule import ClipDataModule
from dvface.data.pairing import Degradation
from dvface.data.stream import ClipStream
from dvface.degradation.mixture import Mixture
from dvface.degradation.operator import Operator
from dvface.degradation.recipe import Recipe
from dvface.training.part_clock import PartClock, Watches
from dvface.video.decode import ClipReader

READING = "reading the shard"
DECODING = "decoding"
DEGRADATION = "degradation"
REST = "cropping and the rest"


def clip_time(data: ClipDataModule, clips: int) -> dict[str, float]:
    """Seconds that each part of making a clip takes, the longest first.

    Where the data module loads in workers, a worker measures: decord must not be opened in a process that forks.

    Args:
        data: whose next clips are made once more; its place is not moved.
        clips: how many to average over; one before them is not counted, since it pays for imports.

    Raises:
        UserError: too many clips cannot be used.
    """
    loader: DataLoader[dict[str, float]] = DataLoader(
        _TimedClips(data.stream(), clips),
        batch_size=None,
        num_workers=min(1, data.workers),
        multiprocessing_context=data.start_method if data.workers else None,
    )
    (seconds,) = loader
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _operators(recipe: Degradation) -> Iterator[tuple[str, Operator]]:
    """A recipe's operators by name; a mixture's by recipe and name."""
    if isinstance(recipe, Recipe):
        yield from recipe.operators.items()
    if isinstance(recipe, Mixture):
        for key, part in recipe.recipes.items():
            for label, operator in _operators(part):
                yield f"{key} {label}", operator


class _TimedClips(IterableDataset[dict[str, float]]):
    """One item: what each part of making a clip takes, on average."""

    def __init__(self, stream: ClipStream, clips: int) -> None:
        self.stream = stream
        self.clips = clips

    def __iter__(self) -> Iterator[dict[str, float]]:
        clock = PartClock(REST, settle=lambda: None)
        watches = Watches(clock)
        plain, recipe = pairing.open_side, self.stream.degradation
        try:
            watches.add(self.stream.reader, "read", READING)
            watches.replace(pairing, "open_side", lambda sample, part: _TimedReader(plain(sample, part), clock))
            watches.add(pairing, "open_side", DECODING)
            watches.replace(self.stream, "degradation", _TimedDegradation(recipe, clock))
            for label, operator in _operators(recipe):
                watches.add(operator, "apply", f"{DEGRADATION}: {label}")
            pairs = iter(self.stream)
            next(pairs)
            clock.restart()
            for _ in islice(pairs, self.clips):
                pass
            clock.book()
        finally:
            watches.take_back()
        yield {part: spent.seconds / self.clips for part, spent in clock.spent.items()}


class _TimedReader:
    """A reader of clips whose time is booked."""

    def __init__(self, reader: ClipReader, clock: PartClock) -> None:
        self.reader = reader
        self.clock = clock

    def __len__(self) -> int:
        self.clock.enter(DECODING)
        try:
            return len(self.reader)
        finally:
            self.clock.leave()

    def read(self, start: int, frames: int) -> np.ndarray:
        self.clock.enter(DECODING)
        try:
            return self.reader.read(start, frames)
        finally:
            self.clock.leave()


class _TimedDegradation:
    """A recipe whose time is booked."""

    def __init__(self, recipe: Degradation, clock: PartClock) -> None:
        self.recipe = recipe
        self.clock = clock

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        self.clock.enter(DEGRADATION)
        try:
            return self.recipe(clip, rng)
        finally:
            self.clock.leave()

    def describe(self) -> str:
        return self.recipe.describe()
