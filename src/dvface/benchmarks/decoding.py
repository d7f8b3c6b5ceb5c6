"""The rival of our loader: decord decodes clips from memory and does nothing else."""

import io
import multiprocessing
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from dvface.data.shards import read_samples, shard_paths
from dvface.errors import UserError

START: Final = "spawn"
"""How processes start: a process that has used decord must not fork."""
PATIENCE = 600.0
"""Seconds after which a process that decodes is given up."""


class Decord:
    """The rival: clips in memory, decoded to RGB one after another.

    Args:
        folder: of shards.
        sides: the parts of a clip that are decoded, such as ``clean.mp4``.
        frames: taken of each clip, from its first on.

    Attributes:
        clips: in the folder.
        frames: that one pass decodes.

    Raises:
        UserError: decord is not installed.
    """

    def __init__(self, folder: Path, sides: Sequence[str], frames: int) -> None:
        if find_spec("decord") is None:
            raise UserError(
                "parts=loading: its rival, decord, is not installed (it runs on Linux on x86-64); leave it out"
            )
        samples = list(read_samples(shard_paths(folder)))
        self.clips = len(samples)
        self._videos: list[bytes] = [sample[side] for sample in samples for side in sides]
        self._each = frames
        self.frames = len(self._videos) * frames

    def seconds(self, clock: Callable[[], float]) -> float:
        """For one pass, by a clock that only grows; one clip before it is not counted."""
        self._decode(self._videos[0])
        started = clock()
        for video in self._videos:
            self._decode(video)
        return clock() - started

    def _decode(self, video: bytes) -> None:
        import decord

        frames = decord.VideoReader(io.BytesIO(video), num_threads=1).get_batch(range(self._each)).asnumpy()
        assert len(frames) == self._each


def decode_beside(folder: Path, sides: Sequence[str], frames: int, processes: int) -> float:
    """Seconds that so many processes take, side by side, to decode all clips once each; the slowest counts."""
    context = multiprocessing.get_context(START)
    barrier, results = context.Barrier(processes), context.Queue()
    started = [
        context.Process(target=_decode_once_met, args=(folder, sides, frames, barrier, results))
        for _ in range(processes)
    ]
    for process in started:
        process.start()
    seconds = [results.get(timeout=PATIENCE) for _ in started]
    for process in started:
        process.join()
    return max(seconds)


def _decode_once_met(
    folder: Path, sides: Sequence[str], frames: int, barrier: Barrier, results: "Queue[float]"
) -> None:
    """What each of these processes does: read, wait for the others, decode."""
    rival = Decord(folder, sides, frames)
    barrier.wait(PATIENCE)
    results.put(rival.seconds(time.perf_counter))
