"""Which sources are for training, validation and test, so that nobody is seen twice."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dvface.seeding import derive_seed

TRAIN, VALIDATION, TEST = "train", "validation", "test"
MOST_DISTANCE = 0.4
"""Below it two embeddings are one person's.

dlib's author gives 0.6 for one pair of pictures. Here all pairs of a data set are tried, and one false pair joins two
groups. Mean embeddings of 26 people's real clips: halves of one video lay 0.16 apart in the median and 0.32 at most,
the nearest two people 0.43; at 0.5 three in two hundred pairs of people would be taken for one. In published
restorations a face and its restoration lie 0.10 to 0.21 apart, other people 0.79 to 0.97.
"""
BLOCK = 512


@dataclass(frozen=True)
class Item:
    """A source.

    Attributes:
        source: its key.
        recording: sources of one recording stay together.
        person: who is seen, where known; sources of one person stay together.
        prescribed: the split that the data set prescribes, if any.
        clips: how many it gives.
        embeddings: (128,) identities of the faces in it, not normalised.
        repeats: other sources with the same footage; they stay together with it.
    """

    source: str
    recording: str
    person: str | None
    prescribed: str | None
    clips: int
    embeddings: Sequence[Sequence[float]] = ()
    repeats: Sequence[str] = ()


@dataclass(frozen=True)
class Assignment:
    """Where a source goes.

    Attributes:
        split: ``train``, ``validation`` or ``test``.
        group: key of the first source of those that stay together with it.
        remark: a sentence where the data set prescribes several splits for the group.
    """

    split: str
    group: str
    remark: str | None = None


def split(
    items: Sequence[Item],
    shares: Mapping[str, float],
    seed: int,
    by: Literal["source", "identity"],
    most_distance: float = MOST_DISTANCE,
) -> dict[str, Assignment]:
    """Give every source a split; sources of one recording, one person or the same footage are never torn apart.

    Prescribed splits hold for the whole group. Of the others, in an order that depends on the seed and the group's name
    alone, test takes every group that is not larger than what it still misses, then validation does, and the rest is
    for training. From three groups on, each that has a share gets at least one group, the smallest where none fits,
    while one is left for training.

    Args:
        items: in any order.
        shares: of ``validation`` and ``test`` in the clips of all items, 0 to 1; their sum is below 1.
        seed: of the order.
        by: ``identity`` joins sources with near embeddings too.
        most_distance: Euclidean, below which two embeddings are one person's.
    """
    ordered = sorted(items, key=lambda item: item.source)
    groups = _groups(ordered, most_distance if by == "identity" else None)
    clips = {name: sum(item.clips for item in members) for name, members in groups.items()}
    chosen: dict[str, str] = {}
    remarks: dict[str, str] = {}
    for name, members in groups.items():
        wanted = [one for one in (TEST, VALIDATION, TRAIN) if any(item.prescribed == one for item in members)]
        if wanted:
            chosen[name] = wanted[0]
        if len(wanted) > 1:
            remarks[name] = f"prescribed for {' and '.join(wanted)}; the whole group {name} goes to {wanted[0]}"
    free = [name for name in groups if name not in chosen and clips[name]]
    free.sort(key=lambda name: (derive_seed(seed, "split", name), name))
    several = sum(1 for count in clips.values() if count) >= 3
    for target, share in ((TEST, shares[TEST]), (VALIDATION, shares[VALIDATION])):
        missing = share * sum(clips.values()) - sum(clips[name] for name, held in chosen.items() if held == target)
        for name in free:
            # shares are decimal: 0.3 · 10 is a little less than 3
            if clips[name] <= missing + 1e-9:
                chosen[name] = target
                missing -= clips[name]
        free = [name for name in free if name not in chosen]
        empty = not any(clips[name] for name, held in chosen.items() if held == target)
        for_training = len(free) + sum(1 for name, held in chosen.items() if held == TRAIN and clips[name])
        if share > 0 and empty and several and free and for_training > 1:
            smallest = min(free, key=lambda name: clips[name])
            chosen[smallest] = target
            free.remove(smallest)
    return {
        item.source: Assignment(chosen.get(name, TRAIN), name, remarks.get(name))
        for name, members in groups.items()
        for item in members
    }


class _Joined:
    """Disjoint sets of 0 … count - 1; each is named after its smallest member."""

    def __init__(self, count: int) -> None:
        self._above = list(range(count))

    def find(self, one: int) -> int:
        while self._above[one] != one:
            self._above[one] = self._above[self._above[one]]
            one = self._above[one]
        return one

    def join(self, one: int, other: int) -> None:
        first, second = sorted((self.find(one), self.find(other)))
        self._above[second] = first


def _groups(items: Sequence[Item], most_distance: float | None) -> dict[str, list[Item]]:
    """Items that stay together, by the first one's source."""
    joined = _Joined(len(items))
    first: dict[tuple[str, str], int] = {}
    for index, item in enumerate(items):
        joined.join(index, first.setdefault(("recording", item.recording), index))
        if item.person is not None:
            joined.join(index, first.setdefault(("person", item.person), index))
    places = {item.source: index for index, item in enumerate(items)}
    for index, item in enumerate(items):
        for other in item.repeats:
            joined.join(index, places[other])
    if most_distance is not None:
        _join_near(items, most_distance, joined)
    groups: dict[str, list[Item]] = defaultdict(list)
    for index, item in enumerate(items):
        groups[items[joined.find(index)].source].append(item)
    return dict(groups)


def _join_near(items: Sequence[Item], most_distance: float, joined: _Joined) -> None:
    """Join items of which two embeddings lie nearer than ``most_distance``."""
    owners = np.array([index for index, item in enumerate(items) for _ in item.embeddings], int)
    faces = np.array([face for item in items for face in item.embeddings], np.float64)
    if not len(faces):
        return
    squares = (faces**2).sum(axis=1)
    for start in range(0, len(faces), BLOCK):
        stop = min(start + BLOCK, len(faces))
        distances = squares[start:stop, None] + squares[:stop] - 2 * faces[start:stop] @ faces[:stop].T
        groups = np.array([joined.find(owner) for owner in owners[:stop]])
        for row, near in enumerate(distances < most_distance**2, start):
            # one join per group and not per pair: a person may have thousands
            for group in np.unique(groups[near]).tolist():
                joined.join(int(owners[row]), group)
