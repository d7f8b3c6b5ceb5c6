"""How much memory a process and its workers hold while batches pass."""

import multiprocessing
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

Batch = TypeVar("Batch")


@dataclass(frozen=True)
class Held:
    """Memory at one moment, in MB of 10⁶ bytes; a page that several processes share is dealt out among them.

    Attributes:
        batches: how many had passed.
        process: held by this process.
        workers: held by the processes that it has started, together.
    """

    batches: int
    process: float
    workers: float


class MemoryWatch(Iterable[Batch], Generic[Batch]):
    """Passes batches on and looks at the memory whenever so many have passed.

    Args:
        batches: at least as many as the last mark.
        marks: numbers of batches, rising; after the last one no more batches pass.

    Attributes:
        held: what was seen, one entry a mark.
    """

    def __init__(self, batches: Iterable[Batch], marks: Sequence[int]) -> None:
        self.batches = batches
        self.marks = tuple(marks)
        self.held: list[Held] = []

    def __iter__(self) -> Iterator[Batch]:
        """The batches."""
        for number, batch in enumerate(self.batches, start=1):
            yield batch
            if number in self.marks:
                self.held.append(self._look(number))
            if number == self.marks[-1]:
                return

    def _look(self, batches: int) -> Held:
        workers = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
        return Held(batches, memory_of(os.getpid()) / 1e6, sum(map(memory_of, workers)) / 1e6)


def can_measure_memory() -> bool:
    """Whether this system tells it: Linux does."""
    return _account(os.getpid()).is_file()


def memory_of(process: int) -> int:
    """Bytes of a process's resident memory, of shared pages its share."""
    match = re.search(r"^Pss:\s+(\d+) kB$", _account(process).read_text(encoding="ascii"), re.MULTILINE)
    assert match
    return int(match[1]) * 1024


def _account(process: int) -> Path:
    return Path(f"/proc/{process}/smaps_rollup")
