"""Our loader against decord that decodes the same clips from memory and does nothing else, in one run."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from dvface.benchmarks.decoding import START, Decord, decode_beside
from dvface.benchmarks.footage import talking_head
from dvface.data.pairing import Degradation, Pairs, as_bytes, degrade_once
from dvface.data.remote import ShardCache
from dvface.data.sets import read_set
from dvface.data.shards import Clip, write_shards
from dvface.data.stream import ClipStream, LoadedBatch, collate
from dvface.report.progress import Progress

SHARDS = 4
BATCH = 2


@dataclass(frozen=True)
class Way:
    """A way to load clips.

    Attributes:
        name: shown to the user.
        pairs: how a pair is made of a clip.
        degradation: the recipe; for stored pairs it is not used.
        crop: height and width in pixels.
        sides: the parts of a clip that are decoded, such as ``clean.mp4``.
    """

    name: str
    pairs: Pairs
    degradation: Degradation
    crop: int
    sides: tuple[str, ...]


@dataclass(frozen=True)
class Round:
    """One pass over as many clips as there are, in seconds.

    Attributes:
        ours: from shards on the disk to batches of bytes.
        recipe: the part of ``ours`` that the recipe took.
        bare: for decord to decode as many of the same clips.
    """

    ours: float
    recipe: float
    bare: float


@dataclass(frozen=True)
class Loading:
    """How fast a way to load is.

    Attributes:
        way: its name.
        crop: in pixels.
        frames: decoded in a round, by either side.
        rounds: one after another, ours and the rival in turn.
    """

    way: str
    crop: int
    frames: int
    rounds: tuple[Round, ...]

    @property
    def best(self) -> Round:
        """The least time of each side; disturbances only ever add."""
        ours = min(self.rounds, key=lambda one: one.ours)
        return Round(ours.ours, ours.recipe, min(one.bare for one in self.rounds))

    @property
    def ratio(self) -> float:
        """Our frames a second over the rival's."""
        return self.best.bare / self.best.ours

    @property
    def spread(self) -> tuple[float, float]:
        """The lowest and the highest ratio of a single round."""
        ratios = [one.bare / one.ours for one in self.rounds]
        return min(ratios), max(ratios)


def write_pairs(folder: Path, clips: int, frames: int, size: int, degradation: Degradation, seed: int) -> Path:
    """Shards of a talking head with a stored degraded side; returns the folder.

    Args:
        folder: a new one.
        clips: how many, `SHARDS` or more.
        frames: of each.
        size: side in pixels.
        degradation: the recipe.
        seed: of its draws.
    """
    made = []
    for number, clip in enumerate(talking_head(clips, frames, size)):
        key, clean = f"clip-{number}", as_bytes(np.clip(clip, 0, 1))
        made.append(Clip(key, clean, Fraction(25), degrade_once(degradation, clean, seed, key)[0]))
    write_shards(folder, made, clips // SHARDS)
    return folder


def measure_loading(folder: Path, ways: Sequence[Way], frames: int, rounds: int) -> list[Loading]:
    """Load and decode in turn on one core; time is the processor's.

    Args:
        folder: of shards, whose clips all have the same length.
        ways: measured side by side.
        frames: of a pair.
        rounds: passes over the clips, each with the same draws; a first batch before each is not counted.

    Raises:
        UserError: decord is not installed.
    """
    rivals = {way.sides: Decord(folder, way.sides, frames) for way in ways}
    found: list[list[Round]] = [[] for _ in ways]
    with _one_thread(), Progress("loading", total=rounds * (len(ways) + len(rivals))) as bar:
        for _ in range(rounds):
            bare = {}
            for sides, rival in rivals.items():
                bare[sides] = rival.seconds(time.process_time)
                bar.advance()
            for way, own in zip(ways, found, strict=True):
                own.append(Round(*_load(folder, way, frames, rivals[way.sides].clips), bare[way.sides]))
                bar.advance(note=way.name)
    return [
        Loading(way.name, way.crop, rivals[way.sides].frames, tuple(own)) for way, own in zip(ways, found, strict=True)
    ]


def measure_workers(folder: Path, way: Way, frames: int, rounds: int, workers: int) -> Loading:
    """As `measure_loading` with loader workers, against as many processes that decode; time is the clock's.

    Neither side's start is counted: the loader runs on from round to round, and what it has kept ready is taken
    before a round begins.
    """
    rival = Decord(folder, way.sides, frames)
    found = []
    loader = iter(_loader(folder, way, way.degradation, frames, workers))
    ready = 2 * 2 * workers  # twice what they may have prefetched
    with Progress(f"{workers} workers", total=rounds) as bar:
        for _ in range(rounds):
            for _ in range(ready):
                next(loader)
            started = time.perf_counter()
            for _ in range(workers * rival.clips // BATCH):
                next(loader)
            ours = time.perf_counter() - started
            found.append(Round(ours, 0.0, decode_beside(folder, way.sides, frames, workers)))
            bar.advance()
    return Loading(way.name, way.crop, workers * rival.frames, tuple(found))


def endless_batches(folder: Path, way: Way, frames: int, workers: int) -> Iterator[LoadedBatch]:
    """What a loader with workers gives, for ever."""
    return iter(_loader(folder, way, way.degradation, frames, workers))


class _TimedRecipe:
    """A recipe that adds up the processor time it takes."""

    def __init__(self, recipe: Degradation) -> None:
        self.recipe = recipe
        self.seconds = 0.0

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        started = time.process_time()
        degraded = self.recipe(clip, rng)
        self.seconds += time.process_time() - started
        return degraded

    def describe(self) -> str:
        return self.recipe.describe()


def _loader(folder: Path, way: Way, degradation: Degradation, frames: int, workers: int) -> DataLoader[Any]:
    """As training loads, see `dvface.data.datamodule.ClipDataModule`."""
    stream = ClipStream(
        sets=[read_set(str(folder), way.pairs)],
        cache=ShardCache(str(folder / "cache"), gigabytes=1.0),  # for shards that lie elsewhere: none here
        degradation=degradation,
        frames=frames,
        crop=way.crop,
        context=0,
        batch_size=BATCH,
        buffer=SHARDS,
        seed=0,
        tolerate=0.0,
        workers=workers,
    )
    return DataLoader(
        stream,
        batch_size=BATCH,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=START if workers else None,
    )


def _load(folder: Path, way: Way, frames: int, clips: int) -> tuple[float, float]:
    """Seconds in all, and of the recipe, to load so many clips; an iterator of its own, so that all draws recur."""
    recipe = _TimedRecipe(way.degradation)
    loader = iter(_loader(folder, way, recipe, frames, workers=0))
    next(loader)
    recipe.seconds = 0.0
    started = time.process_time()
    for _ in islice(loader, clips // BATCH):
        pass
    return time.process_time() - started, recipe.seconds


@contextmanager
def _one_thread() -> Iterator[None]:
    before = cv2.getNumThreads(), torch.get_num_threads()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        torch.set_num_threads(before[1])
