"""Whether a variant differs from the baseline: tests for few seeds and few clips, and what they could have found."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, stats

from dvface.comparison.spread import Array, Covers, Sample, Spread, one_way, spread, t_interval
from dvface.seeding import derive_generator

LEVEL = 0.05
POWER = 0.8
QUANTILES = 4000
FLIPS = 2**16
"""So many signs of differences are tried at most; all of them for up to 16 clips, so that the test is exact."""


@dataclass(frozen=True)
class Difference:
    """A variant's numbers less the baseline's, of the same seeds and clips.

    Attributes:
        mean: over clips, then seeds.
        interval: 95 %, not corrected for several comparisons; None where there is none.
        p: of the primary test, not corrected; None where there is none.
        covers: to what interval and test generalise; None where there are none.
        p_clips: of the sign-flip test over clips, seeds averaged: these trained models on other clips, no other seeds.
        p_seeds: of the t-test over seeds, clips averaged: other seeds on these clips.
        seeds: how many were compared.
        clips: how many different clips.
        seeds_above: seeds whose mean difference is above 0.
        clips_above: clips whose mean difference is above 0.
        spread: of the mean.
    """

    mean: float
    interval: tuple[float, float] | None
    p: float | None
    covers: Covers | None
    p_clips: float | None
    p_seeds: float | None
    seeds: int
    clips: int
    seeds_above: int
    clips_above: int
    spread: Spread | None

    def detectable(self, comparisons: int) -> float | None:
        """The smallest true difference that would have been shown in 80 % of such experiments.

        Args:
            comparisons: among how many tests it must hold (Bonferroni, which is Holm's first step).

        Returns:
            None where none could have been shown, however large: signs of N clips give no p below 2 / 2^N.
        """
        level = LEVEL / comparisons
        if self.spread is None or (self.seeds == 1 and 2.0 ** (1 - self.clips) >= level):
            return None
        return smallest_detectable(self.spread, level)


def difference(sample: Sample) -> Difference:
    """What differences show.

    The primary test is the t-test of the mean difference with seeds and clips both as random, see `spread`. It is the
    only one of the three whose claim is about the method, on other seeds and other footage, and the only one that keeps
    its level: where there is no difference but seeds vary, the test over clips finds one nine times in ten, and so does
    the test over seeds half the time where clips vary (simulated with three seeds and twelve clips; for the primary
    test 2 to 6 %). With one seed it is the sign-flip test over clips, whose claim is about the two trained models.

    Args:
        sample: variant less baseline, for every seed and clip.
    """
    found = spread(sample)
    mean = sample.mean
    by_clips = sign_flip(sample.of_clips) if sample.clips > 1 else None
    p = None
    if found is not None:
        p = by_clips if len(sample.seeds) == 1 else t_test(mean, found)
    of_seeds = sample.of_seeds
    return Difference(
        mean=mean,
        interval=t_interval(sample),
        p=p,
        covers=None if found is None else found.covers,
        p_clips=by_clips,
        p_seeds=t_test(mean, one_way(of_seeds, "seeds")) if len(of_seeds) > 1 else None,
        seeds=len(of_seeds),
        clips=sample.clips,
        seeds_above=int((of_seeds > 0).sum()),
        clips_above=int((sample.of_clips > 0).sum()),
        spread=found,
    )


def t_test(mean: float, found: Spread) -> float:
    """Two-sided p of a mean, of which 0 is expected."""
    if found.error == 0:
        return 1.0 if mean == 0 else 0.0
    return float(2 * stats.t.sf(abs(mean) / found.error, found.freedom))


def sign_flip(differences: Array, seed: int = 0) -> float:
    """Two-sided p of the test that flips the signs of (N,) differences (Fisher 1935): all 2^N ways up to N = 16.

    Args:
        differences: independent, and as likely to be of either sign where there is no difference.
        seed: of the 65,536 ways that are drawn beyond.
    """
    found = stats.permutation_test(
        (differences,),
        lambda values, axis: values.mean(axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=4096,
        rng=derive_generator(seed, "sign flips", len(differences)),
    )
    return float(found.pvalue)


def holm(values: Sequence[float]) -> list[float]:
    """p-values corrected for their number (Holm 1979): the chance of any false claim among them is kept."""
    corrected = [0.0] * len(values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(values)), key=lambda place: values[place])):
        highest = max(highest, min(1.0, (len(values) - rank) * values[index]))
        corrected[index] = highest
    return corrected


def smallest_detectable(found: Spread, level: float) -> float:
    """The true mean that a two-sided t-test of this level finds with a chance of 80 %.

    Args:
        found: the mean's error, taken for the true one.
        level: of the test.
    """
    critical = float(stats.t.isf(level / 2, found.freedom))

    # of the noncentral t by its definition, since scipy's is NaN in places: over quantiles of the estimated error
    quantiles = (np.arange(QUANTILES) + 0.5) / QUANTILES
    thresholds = critical * np.sqrt(stats.chi2.ppf(quantiles, found.freedom) / found.freedom)

    def lacking(shift: float) -> float:
        return POWER - float(np.mean(stats.norm.sf(thresholds - shift) + stats.norm.cdf(-thresholds - shift)))

    high = critical
    while lacking(high) > 0:
        high *= 2
    return float(optimize.brentq(lacking, 0.0, high)) * found.error
