"""An endless stream of training pairs whose order is a pure function of (seed, epoch, rank, worker)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from dvface.contracts import BadClip, ClipBatch, StreamNote
from dvface.data.order import Mixture, Order, Place, Reader
from dvface.data.pairing import LISTED_AS, Degradation, Window
from dvface.data.reading import ShardReader
from dvface.data.remote import ShardCache
from dvface.data.sets import TrainingSet, check_dealing
from dvface.data.shards import CLEAN
from dvface.errors import UserError
from dvface.seeding import derive_generator, derive_seed


@dataclass(frozen=True)
class Pair:
    """One training pair as a worker makes it: frames as they come, which are a quarter of the floats they become.

    Attributes:
        clean: (T, H, W, 3) uint8, or float32 in [0, 1].
        degraded: the same.
        key: the sample's.
        note: where the stream stands behind it; None for what comes from no stream.
        padding: see `ClipBatch`.
    """

    clean: np.ndarray
    degraded: np.ndarray
    key: str
    note: StreamNote | None = None
    padding: bool = False


@dataclass(frozen=True)
class LoadedBatch:
    """Pairs stacked, before they are floats.

    Attributes:
        clean: (B, T, H, W, 3) uint8, or float32 in [0, 1].
        degraded: the same.
        keys: see `ClipBatch`.
        note: see `ClipBatch`.
        padding: see `ClipBatch`.
    """

    clean: Tensor
    degraded: Tensor
    keys: tuple[str, ...]
    note: StreamNote | None
    padding: bool

    def finished(self) -> ClipBatch:
        """As `ClipBatch` promises, computed where the frames lie."""
        return ClipBatch(to_range(self.clean), to_range(self.degraded), self.keys, self.note, self.padding)


def to_range(frames: Tensor) -> Tensor:
    """(B, T, H, W, 3) uint8, or float32 in [0, 1], to (B, 3, T, H, W) float32 in [-1, 1]."""
    scaled = frames.float().div_(255) if frames.dtype == torch.uint8 else frames
    return scaled.mul(2).sub_(1).permute(0, 4, 1, 2, 3).contiguous()


def to_tensor(frames: np.ndarray) -> Tensor:
    """(T, H, W, 3) uint8, or float32 in [0, 1], to (3, T, H, W) float32 in [-1, 1]."""
    return to_range(torch.from_numpy(np.ascontiguousarray(frames))[None])[0]


def collate(pairs: Sequence[Pair]) -> LoadedBatch:
    """Stack pairs into a batch; its note tells where the stream stands behind the last."""
    notes = [pair.note for pair in pairs if pair.note]
    return LoadedBatch(
        clean=torch.from_numpy(np.stack([pair.clean for pair in pairs])),
        degraded=torch.from_numpy(np.stack([pair.degraded for pair in pairs])),
        keys=tuple(pair.key for pair in pairs),
        note=StreamNote(notes[-1].worker, notes[-1].places, tuple(bad for note in notes for bad in note.bad))
        if notes
        else None,
        padding=pairs[0].padding,
    )


@dataclass(frozen=True)
class Standing:
    """Where the stream of one training process stands.

    Attributes:
        batches: how many have been trained on.
        places: of each worker that has given any, by its number: how much of its order in each data set is used up.
    """

    batches: int = 0
    places: Mapping[int, Sequence[int]] = field(default_factory=dict)


class ClipStream(IterableDataset[Pair]):
    """Pairs from the clips in shards, cropped in time and space and flipped, for ever.

    Which clip comes when is the work of `Order` and `Mixture`; what happens to it is a pure function of (seed, epoch,
    key). A resumed run therefore goes on behind what it has seen without reading or decoding it again, and any
    sample can be rebuilt alone. A clip that cannot be used is passed over and told in the next pair's note.

    Args:
        sets: the data sets.
        cache: gives shards as files on this machine.
        degradation: the recipe.
        frames: T of the pairs.
        crop: height and width of the pairs in pixels.
        context: pixels around the crop that are degraded with it and then cut away, since codecs and filters
            treat a frame's border otherwise than its middle (DOVE degrades a 1.5 times larger crop).
        batch_size: samples a batch; all of one batch are of one data set.
        buffer: samples held for shuffling.
        seed: the run's seed.
        tolerate: share of the clips that may be bad.
        rank: this process.
        world_size: number of processes.
        workers: loader workers a process.
        standing: what a resumed run has already seen.

    Raises:
        UserError: there are fewer shards than ranks × workers, so some worker would have nothing to read.
    """

    def __init__(
        self,
        sets: Sequence[TrainingSet],
        cache: ShardCache,
        degradation: Degradation,
        frames: int,
        crop: int,
        context: int,
        batch_size: int,
        buffer: int,
        seed: int,
        tolerate: float,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        standing: Standing | None = None,
    ) -> None:
        super().__init__()
        for one in sets:
            check_dealing(one, world_size, workers)
        self.sets = tuple(sets)
        self.listed = [{entry["key"]: entry for entry in one.entries} for one in sets]
        self.reader = ShardReader(cache)
        self.degradation = degradation
        self.windows = [Window(one.frames or frames, crop, context) for one in sets]
        self.batch_size = batch_size
        self.buffer = buffer
        self.seeds = [derive_seed(seed, "set", one.name) if one.name else seed for one in sets]
        self.mixture = Mixture([one.weight for one in sets], seed)
        self.allowed = tolerate * sum(len(one.entries) for one in sets)
        self.rank = rank
        self.world_size = world_size
        self.workers = max(1, workers)
        self.standing = standing or Standing()

    def __iter__(self) -> Iterator[Pair]:
        """Pairs for this worker, from where a resumed run left off."""
        info = get_worker_info()
        # The loader asks its workers in turn, starting with worker 0, so after a resume worker 0 must play the
        # one whose turn it was.
        worker = ((info.id if info else 0) + self.standing.batches) % self.workers
        places = list(self.standing.places.get(worker, [0] * len(self.sets)))
        orders = [self._order(number, worker).after(used) for number, used in enumerate(places)]
        found: set[str] = set()
        for turn in count(len(range(worker, self.standing.batches, self.workers))):
            number = self.mixture.chosen(turn * self.workers + worker)
            for _ in range(self.batch_size):
                bad: list[BadClip] = []
                pair = None
                while pair is None:
                    place = next(orders[number])
                    places[number] += 1
                    try:
                        pair = self._at(number, place)
                    except _Unusable as error:
                        bad.append(error.clip)
                        found.add(error.clip.key)
                        self._check_share(found, bad)
                yield Pair(pair.clean, pair.degraded, pair.key, StreamNote(worker, tuple(places), tuple(bad)))

    def _order(self, number: int, worker: int) -> Order:
        sizes = [len(shard.keys) for shard in self.sets[number].shards]
        return Order(sizes, self.buffer, self.seeds[number], Reader(self.rank, self.world_size, worker, self.workers))

    def _check_share(self, found: set[str], bad: Sequence[BadClip]) -> None:
        """Give up where this worker alone has met more bad clips than all may."""
        if len(found) > self.allowed:
            raise UserError(too_many(len(found), self.allowed, bad[-1]))
        if len(bad) > sum(len(one.entries) for one in self.sets):
            raise UserError(f"no clip can be used; the last: {bad[-1].reason}; check the data set with dvface verify")

    def _at(self, number: int, place: Place) -> Pair:
        shard = self.sets[number].shards[place.shard]
        key = shard.keys[place.index]
        try:
            sample = self.reader.read(shard, key)
        except ValueError as error:
            raise self._unusable(number, key, f"clip {key} cannot be used: {error}") from error
        try:
            return self.pair({**sample, "__key__": key, LISTED_AS: self.listed[number][key]}, place.epoch, number)
        except UserError as error:
            raise self._unusable(number, key, str(error)) from error

    def _unusable(self, number: int, key: str, reason: str) -> "_Unusable":
        name = self.sets[number].name
        return _Unusable(BadClip(f"{name}/{key}" if name else key, reason))

    def pair(self, sample: Mapping[str, Any], epoch: int, number: int = 0) -> Pair:
        """Rebuild the pair that ``sample`` gives in ``epoch``.

        Args:
            sample: its ``__key__`` and encoded parts.
            epoch: counted from 0.
            number: of its data set.

        Raises:
            UserError: the clip is damaged, or shorter or smaller than what ``frames`` and ``crop`` ask.
        """
        key = sample["__key__"]
        if CLEAN not in sample:
            raise UserError(f"clip {key} cannot be used: it has no {CLEAN}")
        rng = derive_generator(self.seeds[number], "sample", epoch, key)
        try:
            clean, degraded = self.sets[number].pairs(sample, self.degradation, self.windows[number], rng)
        except UserError as error:
            raise UserError(f"clip {key} cannot be used: {error}") from error
        except ValueError as error:
            raise UserError(
                f"clip {key} cannot be used: {error}; prepare it again, or lower the stage's frames if it is short"
            ) from error
        if rng.random() < 0.5:
            clean, degraded = mirrored(clean), mirrored(degraded)
        if rng.random() < 0.5:
            # Faces move as plausibly backwards; BFVR-STC and DicFace reverse clips too.
            clean, degraded = clean[::-1], degraded[::-1]
        return Pair(clean, degraded, key=f"{key}@{epoch}")


def mirrored(frames: np.ndarray) -> np.ndarray:
    """(T, H, W, 3), left and right exchanged."""
    # NumPy would copy a reversed view pixel by pixel, nine times slower.
    result = np.empty(frames.shape, frames.dtype)
    for frame, place in zip(frames, result, strict=True):
        cv2.flip(frame, 1, dst=place)
    return result


class _Unusable(Exception):
    def __init__(self, clip: BadClip) -> None:
        super().__init__(clip.reason)
        self.clip = clip


def too_many(found: int, allowed: float, last: BadClip) -> str:
    """Why training stops when more clips are bad than may be."""
    return (
        f"{found} clips cannot be used and data.tolerate allows {int(allowed)}; the last: {last.reason}; "
        "check the data set with dvface verify, or raise data.tolerate"
    )
