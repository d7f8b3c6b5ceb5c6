import math

import numpy as np
import pytest
from scipy import optimize, stats

from dvface.comparison.differences import difference, holm, sign_flip, smallest_detectable
from dvface.comparison.spread import Sample, Spread


def sample(table: np.ndarray, crossed: bool = True) -> Sample:
    return Sample(tuple(np.asarray(table, np.float64)), crossed)


def test_signs_by_hand_and_against_the_signed_ranks_of_scipy():
    assert sign_flip(np.array([1.0, 2.0, 3.0])) == pytest.approx(2 / 8)  # all of one sign: 2 of 2³ ways
    assert sign_flip(np.array([-1.0, 2.0, 3.0])) == pytest.approx(4 / 8)  # ±(±1, 2, 3)
    assert sign_flip(np.zeros(4)) == 1
    ranks = np.array([1.0, -2.0, 3.0, 4.0, 5.0, 6.0, 7.0, -8.0])  # of ranks it is Wilcoxon's test
    assert sign_flip(ranks) == pytest.approx(stats.wilcoxon(ranks, method="exact").pvalue)


def test_many_clips_are_tried_by_drawing_the_same_ways_each_time():
    many = np.random.default_rng(0).normal(0.4, 1, 40)
    assert sign_flip(many) == sign_flip(many)
    assert sign_flip(many) == pytest.approx(stats.ttest_1samp(many, 0).pvalue, abs=0.01)


def test_holm_by_hand():
    # sorted .01·4, .02·3 = .06, .03·2 = .06, .04·1 raised to .06
    assert holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_an_equal_variant_and_one_better_by_a_constant():
    same = difference(sample(np.zeros((3, 5))))
    assert (same.mean, same.p, same.interval, same.seeds_above) == (0, 1, (0, 0), 0)
    better = difference(sample(np.full((3, 5), 0.5)))
    assert (better.mean, better.p, better.seeds_above, better.clips_above) == (0.5, 0, 3, 5)
    assert better.covers == "seeds and clips"


def test_one_seed_speaks_of_clips_alone_and_one_clip_of_seeds():
    clips = [0.3, 0.5, 0.2, 0.4, 0.1, 0.6, 0.35]
    alone = difference(sample([clips]))
    assert (alone.covers, alone.p, alone.p_seeds) == ("clips", pytest.approx(2 / 2**7), None)
    seeds = difference(sample([[0.3], [0.5], [0.1]]))
    assert (seeds.covers, seeds.p_clips) == ("seeds", None)
    assert seeds.p == pytest.approx(stats.ttest_1samp([0.3, 0.5, 0.1], 0).pvalue)
    single = difference(sample([[0.3]]))
    assert (single.p, single.interval, single.detectable(1)) == (None, None, None)


def test_a_lucky_seed_is_no_difference_for_the_primary_test_and_is_one_for_clips_alone():
    generator = np.random.default_rng(3)
    primary, clips = 0, 0
    for _ in range(200):
        luck, rest = generator.normal(size=(3, 1)), 0.2 * generator.normal(size=(3, 8))
        found = difference(sample(luck + rest))
        primary += found.p < 0.05
        clips += found.p_clips < 0.05
    assert primary / 200 < 0.1
    assert clips / 200 > 0.6


def test_interval_and_primary_test_agree():
    generator = np.random.default_rng(5)
    for _ in range(50):
        found = difference(sample(0.8 + generator.normal(size=(3, 1)) * 0.4 + generator.normal(size=(3, 6)) * 0.3))
        low, high = found.interval
        assert (found.p < 0.05) == (not low <= 0 <= high)


def test_what_could_have_been_found():
    many = Spread(error=0.1, freedom=1e6, covers="seeds and clips")  # as of a normal law: (z₀.₉₇₅ + z₀.₈) σ
    assert smallest_detectable(many, 0.05) == pytest.approx(0.1 * (1.95996 + 0.84162), rel=1e-3)
    shift = smallest_detectable(Spread(0.1, 2, "seeds"), 0.05)
    assert shift == pytest.approx(optimize.brentq(lambda x: stats.nct.sf(4.302653, 2, x) - 0.8, 3, 7.5) * 0.1, rel=1e-3)
    draws = np.random.default_rng(0).normal(shift, 0.1 * math.sqrt(3), size=(20_000, 3))
    assert (stats.ttest_1samp(draws, 0, axis=1).pvalue < 0.05).mean() == pytest.approx(0.8, abs=0.015)


def test_more_comparisons_need_larger_differences_and_few_signs_can_show_none():
    found = difference(sample(np.random.default_rng(0).normal(size=(3, 6))))
    assert found.detectable(1) < found.detectable(4)
    of_five = difference(sample([[1.0, 2.0, 3.0, 4.0, 5.0]]))  # 2 / 2⁵ = .0625
    assert of_five.detectable(1) is None
    assert difference(sample([np.arange(1.0, 8.0)])).detectable(1) is not None
