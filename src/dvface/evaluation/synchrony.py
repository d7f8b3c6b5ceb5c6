"""Which frames of two videos of the same footage show the same moment.

What moves is compared, not what is seen: from every small picture its neighbours' mean over time is taken away, which
leaves what changed in those frames and takes away what restoration or degradation did to all of them. How alike two
such changes are (the cosine of the angle between them) is known for every restored frame and every reference frame
within `BAND` of it. The best path through these numbers that never goes back in time, and pays a price for every frame
dropped or repeated, says how the videos lie to each other. The price comes from the footage itself, as in Page's
cumulative sum test (Biometrika 1954): with steps of mean -m and long-run variance s², pure chance makes the sum of the
steps rise by more than h once with probability exp(-2·m·h/s²).
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

BAND = 60
"""Frames: offsets beyond this are not looked for, neither at the start nor after any number of drops."""

REACH = 3  # frames on both sides whose mean is taken away; more tells neighbouring frames apart less well
CHUNK = 512  # frames whose features are held at once
STILL = 1 / 16  # levels (root mean square of a picture's cells): changes below this count for little
FROZEN = 0.25  # of the median step: less is a frame shown again, which says nothing about its time
CHANCE = 1e-4  # of a change of offset that is none
LEAST_PRICE, MOST_PRICE = 2.0, 6.0  # in frames whose similarity goes from nothing to full
FIRST_PRICE = 4.0  # before the footage is known; lower, chance finds paths through unrelated footage
BEGINNING = 0.25  # of a change's price: what a beginning out of step pays
BLOCK = 8  # frames: chance in one such block tells little about the next
LEAST_CERTAINTY = 3.0  # standard errors by which the found offsets are better than their neighbours
NEIGHBOURS = (-2, -1, 1, 2)  # frames: the offsets easiest to be confused with

Features = NDArray[np.float32]


@dataclass(frozen=True)
class Run:
    """Frames in a row: ``restored + i`` shows the same moment as ``reference + i``, for i below ``frames``."""

    restored: int
    reference: int
    frames: int

    @property
    def offset(self) -> int:
        """Reference frame minus restored frame."""
        return self.reference - self.restored


@dataclass(frozen=True)
class Synchrony:
    """How two videos lie to each other.

    Attributes:
        runs: in order, going forward on both sides. Where the footage cannot tell: all frames as they lie.
        offset: of the longest run.
        known: whether the footage can tell: enough moves, and it moves alike on both sides.
    """

    runs: tuple[Run, ...]
    offset: int
    known: bool


def find_runs(restored: NDArray[np.float32], reference: NDArray[np.float32]) -> Synchrony:
    """Which frames show the same moment.

    Time and memory grow with frames times `BAND`. A drop between frames that look alike, or close to an end, cannot be
    seen and is not reported; the place of one that is seen is right to within `REACH` frames. A few repeated frames
    after which the video is in step again (a stall) are no new run.

    Args:
        restored: (T, S, S) small grey pictures, levels 0 to 255.
        reference: (U, S, S) of the same S; U may differ from T.

    Raises:
        ValueError: a side has no frame, or the pictures' sizes differ.
    """
    if not len(restored) or not len(reference) or restored.shape[1:] != reference.shape[1:]:
        raise ValueError(f"cannot compare pictures of shapes {restored.shape} and {reference.shape}")
    likeness = _likeness(restored, reference)
    path = _best_path(likeness, FIRST_PRICE)
    price = _price(likeness, path)
    as_they_lie = Run(0, 0, min(len(restored), len(reference)))
    if price is None:
        return Synchrony((as_they_lie,), 0, known=False)
    runs = _runs(_best_path(likeness, price), len(reference))
    return Synchrony(runs, max(runs, key=lambda run: run.frames).offset, known=True)


def _likeness(restored: NDArray[np.float32], reference: NDArray[np.float32]) -> Features:
    """(T, 2·BAND + 1): cosines of restored frame i and reference frame i - BAND + k; 0 outside of the reference."""
    likeness = np.zeros((len(restored), 2 * BAND + 1), np.float32)
    moves = _moves(restored)
    for start in range(0, len(restored), CHUNK):
        ours = _changes(restored, start, min(start + CHUNK, len(restored)))
        first = start - BAND
        theirs = _changes(reference, first, start + len(ours) + BAND)
        table = ours @ theirs.T
        # row r, column r + k is frame start + r beside frame first + r + k
        row, column = table.strides
        likeness[start : start + len(ours)] = as_strided(table, (len(ours), 2 * BAND + 1), (row + column, column))
    likeness[~moves] = 0
    return likeness


def _changes(pictures: NDArray[np.float32], start: int, stop: int) -> Features:
    """(stop - start, S²) what changed in the frames, of length 1 or, where little did, less; 0 outside of the video."""
    frames = len(pictures)
    found = np.zeros((stop - start, pictures[0].size), np.float32)
    low, high = max(start, 0), min(stop, frames)
    if low >= high:
        return found
    first, last = max(low - REACH, 0), min(high + REACH, frames)
    flat = pictures[first:last].reshape(last - first, -1).astype(np.float64)
    flat -= flat.mean(axis=1, keepdims=True)  # brightness that flickers
    sums = np.concatenate([np.zeros_like(flat[:1]), flat.cumsum(axis=0)])
    numbers = np.arange(low, high)
    begins, ends = np.maximum(numbers - REACH, 0) - first, np.minimum(numbers + REACH + 1, frames) - first
    change = flat[low - first : high - first] - (sums[ends] - sums[begins]) / (ends - begins)[:, None]
    lengths = np.sqrt((change**2).sum(axis=1, keepdims=True) + STILL**2 * change.shape[1])
    found[low - start : high - start] = change / lengths
    return found


def _moves(pictures: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(T,): whether a frame is other than the one before it."""
    steps = np.array(
        [0.0, *(float(np.abs(later - earlier, dtype=np.float32).mean()) for earlier, later in pairwise(pictures))]
    )
    steps[0] = np.inf
    return steps > FROZEN * np.median(steps[1:]) if len(steps) > 1 else np.ones(1, bool)


def _best_path(likeness: Features, price: float) -> NDArray[np.int64]:
    """(T,): the offset of every restored frame, or `LEFT_OUT` for one that is shown again, by dynamic programming.

    A path may skip reference frames (a drop) or restored ones (repeats), each time for ``price``, as it pays for not
    beginning in step. Restored frames that are skipped, or lie before or behind the reference, neither gain nor pay.
    """
    frames, width = likeness.shape
    paired = np.full(width, -price * BEGINNING, np.float32)
    paired[BAND] = 0
    paired += likeness[0]
    skipping = np.full(width, -np.inf, np.float32)
    dropped_from = np.zeros((frames, width), np.int16)  # offset's index before; itself where nothing was dropped
    ended_skip = np.zeros((frames, width), bool)  # this frame is paired, the ones before were skipped
    began_skip = np.zeros((frames, width), bool)  # this frame is the first that is skipped
    indices = np.arange(width, dtype=np.int16)
    beyond = np.array([-np.inf], np.float32)
    for frame in range(1, frames):
        # skipping a restored frame lowers the offset by one
        begin, go_on = np.append(paired[1:], beyond) - price, np.append(skipping[1:], beyond)
        best_below = np.maximum.accumulate(paired)
        risen = best_below > paired
        leader = np.maximum.accumulate(np.where(risen, 0, indices))
        by_drop = best_below - price > paired
        dropped_from[frame] = np.where(by_drop, leader, indices)
        stay = np.where(by_drop, best_below - price, paired)
        ended_skip[frame] = skipping > stay
        paired = np.where(ended_skip[frame], skipping, stay) + likeness[frame]
        began_skip[frame] = begin > go_on
        skipping = np.where(began_skip[frame], begin, go_on)
    return _trace(int(paired.argmax()), dropped_from, ended_skip, began_skip)


LEFT_OUT = BAND + 1


def _trace(
    index: int, dropped_from: NDArray[np.int16], ended_skip: NDArray[np.bool_], began_skip: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """The path that ends with ``index``, from the choices made on the way."""
    frames = len(dropped_from)
    path = np.full(frames, LEFT_OUT)
    skipped = False
    for frame in range(frames - 1, -1, -1):
        if skipped:
            skipped = not began_skip[frame, index]
            index += 1
            continue
        path[frame] = index - BAND
        if ended_skip[frame, index]:
            skipped = True
        else:
            index = int(dropped_from[frame, index])
    return path


def _price(likeness: Features, path: NDArray[np.int64]) -> float | None:
    """What a change of offset must gain so that chance makes one with probability `CHANCE`; None: nothing is certain.

    How much better the path is than one that runs a frame or two beside it says what there is to gain and how much of
    it is chance.
    """
    frames = np.flatnonzero(path != LEFT_OUT)
    prices = [LEAST_PRICE]
    for neighbour in NEIGHBOURS:
        columns = path[frames] + BAND
        inside = (columns + neighbour >= 0) & (columns + neighbour < likeness.shape[1])
        rows = frames[inside]
        lead = likeness[rows, columns[inside]] - likeness[rows, columns[inside] + neighbour]
        blocks = len(lead) // BLOCK
        if blocks < 2:
            return None
        sums = lead[: blocks * BLOCK].reshape(blocks, BLOCK).sum(axis=1, dtype=np.float64)
        variance = max(float(sums.var(ddof=1)) / BLOCK, 1e-12)
        mean = float(lead.mean(dtype=np.float64))
        if mean * np.sqrt(len(lead) / variance) < LEAST_CERTAINTY:
            return None
        prices.append(np.log(1 / CHANCE) * variance / (2 * mean))
    return min(max(prices), MOST_PRICE)


def _runs(path: NDArray[np.int64], reference: int) -> tuple[Run, ...]:
    """The path as runs of frames that exist on both sides."""
    runs: list[Run] = []
    for frame, offset in enumerate(path):
        if offset == LEFT_OUT or not 0 <= frame + offset < reference:
            continue
        last = runs[-1] if runs else None
        if last and last.offset == offset and last.restored + last.frames == frame:
            runs[-1] = Run(last.restored, last.reference, last.frames + 1)
        else:
            runs.append(Run(frame, int(frame + offset), 1))
    return tuple(runs)
