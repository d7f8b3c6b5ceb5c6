"""An endless stream of training pairs whose order is a pure function of (seed, epoch, rank, worker)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from dvface.contracts import ClipBatch
from dvface.data.pairing import Degradation, Pairs, Window
from dvface.data.shards import read_samples
from dvface.errors import UserError
from dvface.seeding import derive_generator


@dataclass(frozen=True)
class Pair:
    """One training pair: (3, T, H, W) float in [-1, 1] each, and the sample's key."""

    clean: Tensor
    degraded: Tensor
    key: str


def to_tensor(frames: np.ndarray) -> Tensor:
    """(T, H, W, 3) uint8, or float in [0, 1], to (3, T, H, W) float in [-1, 1]."""
    scaled = frames.astype(np.float32) / 255 if frames.dtype == np.uint8 else frames.astype(np.float32)
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(3, 0, 1, 2))).mul_(2).sub_(1)


def collate(pairs: Sequence[Pair]) -> ClipBatch:
    """Stack pairs into a batch."""
    return ClipBatch(
        clean=torch.stack([pair.clean for pair in pairs]),
        degraded=torch.stack([pair.degraded for pair in pairs]),
        keys=tuple(pair.key for pair in pairs),
    )


def check_dealing(shards: int, world_size: int, workers: int) -> None:
    """Refuse more readers than shards: some would have nothing to read.

    Raises:
        UserError: there are fewer shards than processes × workers.
    """
    readers = world_size * max(1, workers)
    if shards < readers:
        raise UserError(
            f"{shards} shards cannot be dealt to {world_size} processes × {max(1, workers)} workers; "
            f"write at least {readers} shards or lower data.workers"
        )


class ClipStream(IterableDataset[Pair]):
    """Pairs from the clips in shards, cropped in time and space and flipped, for ever.

    Each epoch shuffles the full list of shards by (seed, epoch), deals them out to ranks and workers, and
    passes each worker's samples through a shuffle buffer. What happens to a sample is a pure function of
    (seed, epoch, key), so a worker can skip what a resumed run has already seen without decoding it, and any
    sample can be rebuilt alone.

    Args:
        shards: all shards of the data set.
        degradation: the recipe.
        pairs: how a pair is made of a stored clip.
        frames: T of the pairs.
        crop: height and width of the pairs in pixels.
        context: pixels around the crop that are degraded with it and then cut away, since codecs and filters
            treat a frame's border otherwise than its middle (DOVE degrades a 1.5 times larger crop).
        batch_size: samples a batch; needed to know what ``skip_batches`` batches were.
        buffer: samples held for shuffling.
        seed: the run's seed.
        rank: this process.
        world_size: number of processes.
        workers: loader workers a process.
        skip_batches: batches of this rank that a resumed run has already seen.

    Raises:
        UserError: there are fewer shards than ranks × workers, so some worker would have nothing to read.
    """

    def __init__(
        self,
        shards: Sequence[Path],
        degradation: Degradation,
        pairs: Pairs,
        frames: int,
        crop: int,
        context: int,
        batch_size: int,
        buffer: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        skip_batches: int = 0,
    ) -> None:
        super().__init__()
        check_dealing(len(shards), world_size, workers)
        self.shards = tuple(sorted(shards))
        self.degradation = degradation
        self.pairs = pairs
        self.window = Window(frames, crop, context)
        self.batch_size = batch_size
        self.buffer = buffer
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.workers = max(1, workers)
        self.skip_batches = skip_batches

    def __iter__(self) -> Iterator[Pair]:
        """Pairs for this worker, from where a resumed run left off."""
        info = get_worker_info()
        physical = info.id if info else 0
        # The loader asks its workers in turn, starting with worker 0, so after a resume worker 0 must play the
        # one whose turn it was.
        worker = (physical + self.skip_batches) % self.workers
        seen = len(range(worker, self.skip_batches, self.workers)) * self.batch_size
        for position, (epoch, sample) in enumerate(self._samples(worker)):
            if position >= seen:
                yield self.pair(sample, epoch)

    def _samples(self, worker: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Undecoded samples of one logical worker, epoch after epoch, through the shuffle buffer."""
        epoch = 0
        while True:
            order = derive_generator(self.seed, "shards", epoch).permutation(len(self.shards))
            own = order[self.rank :: self.world_size][worker :: self.workers]
            rng = derive_generator(self.seed, "buffer", epoch, self.rank, worker)
            held: list[dict[str, Any]] = []
            found = 0
            for sample in read_samples(self.shards[index] for index in own):
                found += 1
                held.append(sample)
                if len(held) > self.buffer:
                    yield epoch, held.pop(int(rng.integers(len(held))))
            for index in rng.permutation(len(held)):
                yield epoch, held[index]
            if not found:
                names = ", ".join(self.shards[index].name for index in own)
                raise UserError(f"no clip in {names}; write the data set again")
            epoch += 1

    def pair(self, sample: Mapping[str, Any], epoch: int) -> Pair:
        """Rebuild the pair that ``sample`` gives in ``epoch``.

        Args:
            sample: its ``__key__`` and encoded parts.
            epoch: counted from 0.

        Raises:
            UserError: the clip is damaged, or shorter or smaller than what ``frames`` and ``crop`` ask.
        """
        key = sample["__key__"]
        rng = derive_generator(self.seed, "sample", epoch, key)
        try:
            clean, degraded = self.pairs(sample, self.degradation, self.window, rng)
        except UserError as error:
            raise UserError(f"clip {key} cannot be used: {error}") from error
        except ValueError as error:
            raise UserError(
                f"clip {key} cannot be used: {error}; lower the stage's frames or prepare it again"
            ) from error
        if rng.random() < 0.5:
            clean, degraded = clean[:, :, ::-1], degraded[:, :, ::-1]
        if rng.random() < 0.5:
            # Faces move as plausibly backwards; BFVR-STC and DicFace reverse clips too.
            clean, degraded = clean[::-1], degraded[::-1]
        return Pair(clean=to_tensor(clean), degraded=to_tensor(degraded), key=f"{key}@{epoch}")
