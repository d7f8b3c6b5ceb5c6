"""The order in which clips are seen: a pure function of (seed, epoch, rank, worker), known without reading a shard."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np

from dvface.seeding import derive_generator


@dataclass(frozen=True)
class Reader:
    """One of all the readers that share a data set: a worker of a training process.

    Attributes:
        rank: the training process.
        world_size: how many there are, on all machines.
        worker: the process's loader worker.
        workers: how many each process has, at least 1.
    """

    rank: int
    world_size: int
    worker: int
    workers: int


@dataclass(frozen=True)
class Place:
    """A clip's place: the ``index``-th of the ``shard``-th shard, in an epoch that is counted from 0."""

    epoch: int
    shard: int
    index: int


class Order:
    """The endless order in which one reader sees its part of a data set.

    In each epoch the full list of shards is shuffled by (seed, epoch), dealt to ranks and then to workers, and the
    clips of a reader's shards pass a shuffle buffer. All of this is arithmetic on the sizes of the shards, so where
    a resumed run goes on costs no reading, however far it was.

    Args:
        sizes: clips in each shard, at least 1 each; at least as many shards as readers.
        buffer: clips that the shuffle buffer holds.
        seed: of the order.
        reader: whose order it is.
    """

    def __init__(self, sizes: Sequence[int], buffer: int, seed: int, reader: Reader) -> None:
        self.sizes = tuple(sizes)
        self.buffer = buffer
        self.seed = seed
        self.reader = reader

    def after(self, used: int) -> Iterator[Place]:
        """The order without its first ``used`` places."""
        for epoch in count():
            shards = self._dealt(epoch)
            size = sum(self.sizes[shard] for shard in shards)
            if used < size:
                yield from islice(self._shuffled(epoch, shards), used, None)
            used = max(0, used - size)

    def _dealt(self, epoch: int) -> list[int]:
        reader = self.reader
        order = derive_generator(self.seed, "shards", epoch).permutation(len(self.sizes))
        return [int(shard) for shard in order[reader.rank :: reader.world_size][reader.worker :: reader.workers]]

    def _shuffled(self, epoch: int, shards: Sequence[int]) -> Iterator[Place]:
        rng = derive_generator(self.seed, "buffer", epoch, self.reader.rank, self.reader.worker)
        held: list[Place] = []
        for shard in shards:
            for index in range(self.sizes[shard]):
                held.append(Place(epoch, shard, index))
                if len(held) > self.buffer:
                    yield held.pop(int(rng.integers(len(held))))
        yield from (held[index] for index in rng.permutation(len(held)))


class Mixture:
    """Which data set each batch comes from: a pure function of (seed, number of the batch), the same on every rank.

    A batch is of one data set, since clips of several lengths cannot be stacked, and all processes draw alike, so
    that none waits for another's longer clips.

    Args:
        weights: one a data set, above 0; shares of the batches.
        seed: of the draw.
    """

    def __init__(self, weights: Sequence[float], seed: int) -> None:
        self.shares = np.cumsum(np.asarray(weights, np.float64) / sum(weights))
        self.seed = seed

    def chosen(self, batch: int) -> int:
        """The number of the data set that gives batch ``batch``, counted from 0."""
        draw = derive_generator(self.seed, "mixture", batch).random()
        return min(int(np.searchsorted(self.shares, draw, side="right")), len(self.shares) - 1)
