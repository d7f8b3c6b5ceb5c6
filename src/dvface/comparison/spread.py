"""Means over seeds and clips, and how sure they are.

Every run of a variant is measured on the same held-out clips, so a number belongs to a seed and to a clip, and both
were drawn from many that could have been drawn. Treating the numbers as independent, or one of the two as given, finds
differences that are none (Clark 1973, "The language-as-fixed-effect fallacy", J. Verbal Learning and Verbal Behavior
12:335): a lucky seed is lucky on every clip.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dvface.seeding import derive_generator

CONFIDENCE = 0.95
RESAMPLES = 10_000
DRAWN_AT_ONCE = 500
ROUNDING = 1e-9  # mean squares that differ by less are equal

Array = NDArray[np.float64]
Covers = Literal["seeds and clips", "seeds", "clips"]


@dataclass(frozen=True)
class Sample:
    """One number for each seed and clip.

    Attributes:
        seeds: S arrays of the clips' numbers; at least one, none empty.
        crossed: whether the n-th number of each is of the same clip; else each seed has clips of its own.
    """

    seeds: tuple[Array, ...]
    crossed: bool

    @classmethod
    def of(cls, numbers: Mapping[int, Mapping[str, float]]) -> "Sample | None":
        """From seed -> clip -> number: of the clips that all seeds have; where they share none, each has its own.

        Returns:
            None where there is no number.
        """
        found = [clips for _, clips in sorted(numbers.items()) if clips]
        if not found:
            return None
        shared = [clip for clip in found[0] if all(clip in clips for clips in found)]
        if shared:
            return cls(tuple(np.array([clips[clip] for clip in shared], np.float64) for clips in found), crossed=True)
        return cls(tuple(np.array(list(clips.values()), np.float64) for clips in found), crossed=False)

    @property
    def clips(self) -> int:
        """How many different clips there are."""
        return len(self.seeds[0]) if self.crossed else sum(map(len, self.seeds))

    @property
    def of_seeds(self) -> Array:
        """(S,) the mean over clips for each seed."""
        return np.array([clips.mean() for clips in self.seeds])

    @property
    def of_clips(self) -> Array:
        """(clips,) the mean over seeds for each clip."""
        return np.mean(self.seeds, axis=0) if self.crossed else np.concatenate(self.seeds)

    @property
    def mean(self) -> float:
        """The mean over clips, then seeds."""
        return float(self.of_seeds.mean())


@dataclass(frozen=True)
class Spread:
    """How far a sample's mean may lie from the one that all seeds and all clips would give.

    Attributes:
        error: standard error of the mean.
        freedom: degrees of freedom behind it.
        covers: over what the mean is generalised; what is not named counts as given.
    """

    error: float
    freedom: float
    covers: Covers


def spread(sample: Sample) -> Spread | None:
    """The standard error of a sample's mean.

    Seeds and clips both vary and are crossed, d = μ + seed + clip + rest: the error is √((A + B − R) / SC), with A, B
    and R the mean squares of seeds, clips and rest, its degrees of freedom those of Satterthwaite (1946). Where
    A + B − R is less than one of them, chance has made a variance negative, and the largest of the three stands alone.
    Seeds with clips of their own are S independent means. A single seed leaves the clips alone, a single clip the
    seeds.

    Returns:
        None for a single number.
    """
    seeds = len(sample.seeds)
    if seeds == 1:
        return one_way(sample.of_clips, "clips") if sample.clips > 1 else None
    if not sample.crossed:
        return one_way(sample.of_seeds, "seeds and clips")
    if sample.clips == 1:
        return one_way(sample.of_seeds, "seeds")
    table = np.stack(sample.seeds)
    clips = sample.clips
    a = clips * sample.of_seeds.var(ddof=1)
    b = seeds * sample.of_clips.var(ddof=1)
    rest = table - sample.of_seeds[:, None] - sample.of_clips[None] + table.mean()
    r = (rest**2).sum() / ((seeds - 1) * (clips - 1))
    parts = [(a, seeds - 1.0), (b, clips - 1.0), (r, (seeds - 1.0) * (clips - 1.0))]
    total = a + b - r
    largest = max(a, b, r)
    if total > largest * (1 + ROUNDING):
        freedom = total**2 / sum(square**2 / own for square, own in parts)
    else:
        total, freedom = largest, min(own for square, own in parts if square >= largest * (1 - ROUNDING))
    return Spread(math.sqrt(total / (seeds * clips)), float(freedom), "seeds and clips")


def one_way(numbers: Array, covers: Covers) -> Spread:
    """That of the mean of (N,) independent numbers, N > 1."""
    return Spread(float(numbers.std(ddof=1)) / math.sqrt(len(numbers)), float(len(numbers) - 1), covers)


def bootstrap_interval(sample: Sample, seed: int = 0) -> tuple[float, float] | None:
    """The 95 % percentile interval of the mean: seeds and clips drawn with replacement, independently of each other.

    That is Owen's (2007) pigeonhole bootstrap. Clips that belong to a seed are drawn within it. It assumes no
    distribution, and of few seeds it knows little: three drawn from three spread by a third too little, and where seeds
    matter most such an interval holds the truth in 74 % of cases, not 95 %. It stands beside Student's, not for it.

    Args:
        sample: the numbers.
        seed: of the 10,000 draws.

    Returns:
        None for a single number.
    """
    counts = [len(clips) for clips in sample.seeds]
    if len(counts) == 1 and counts[0] == 1:
        return None
    generator = derive_generator(seed, "bootstrap over seeds and clips", str(counts))
    means = []
    for _ in range(RESAMPLES // DRAWN_AT_ONCE):
        drawn = _drawn(generator, len(counts))
        if sample.crossed:
            of_seeds = _drawn(generator, counts[0]) @ np.stack(sample.seeds, axis=1)
        else:
            of_seeds = np.stack([_drawn(generator, len(clips)) @ clips for clips in sample.seeds], axis=1)
        means.append((drawn * of_seeds).sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)


def _drawn(generator: np.random.Generator, count: int) -> Array:
    """(DRAWN_AT_ONCE, count) shares of the things in resamples of ``count`` things."""
    return generator.multinomial(count, np.full(count, 1 / count), size=DRAWN_AT_ONCE) / count


def t_interval(sample: Sample) -> tuple[float, float] | None:
    """The 95 % interval of a sample's mean by Student's t, see `spread`; None for a single number."""
    found = spread(sample)
    if found is None:
        return None
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, found.freedom)) * found.error
    return sample.mean - half, sample.mean + half
