import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from dvface.comparison.spread import Sample, bootstrap_interval, spread, t_interval


def sample(*seeds: list[float], crossed: bool = True) -> Sample:
    return Sample(tuple(np.array(clips, np.float64) for clips in seeds), crossed)


def test_numbers_are_paired_by_the_clips_that_all_seeds_have():
    found = Sample.of({1: {"a": 1.0, "b": 2.0}, 0: {"b": 4.0, "c": 9.0, "a": 3.0}, 2: {}})
    assert found.crossed
    assert (found.clips, found.mean) == (2, 2.5)
    assert found.of_seeds.tolist() == [3.5, 1.5]  # seed 0 first, seed 2 has no number
    assert found.of_clips.tolist() == [3.0, 2.0]  # b, a: the order of the first seed


def test_seeds_with_clips_of_their_own_are_not_crossed():
    found = Sample.of({0: {"a": 1.0, "b": 3.0}, 1: {"c": 6.0}})
    assert not found.crossed
    assert (found.clips, found.mean) == (3, 4.0)
    assert Sample.of({0: {}}) is None


def test_the_error_of_crossed_seeds_and_clips_by_hand():
    # seeds' means 2 and 4, clips' means 1, 3, 5, rests (0, 1, -1) and (0, -1, 1): A = 3·2, B = 2·4, R = 4 / 2
    found = spread(sample([0, 3, 3], [2, 3, 7]))
    assert found.error == pytest.approx(math.sqrt((6 + 8 - 2) / 6))
    assert found.freedom == pytest.approx(12**2 / (6**2 / 1 + 8**2 / 2 + 2**2 / 2))
    assert found.covers == "seeds and clips"


def test_chance_makes_no_variance_negative():
    only_rest = spread(sample([0, 2], [2, 0]))  # A = B = 0, R = 4
    assert (only_rest.error, only_rest.freedom) == (1, 1)
    seeds_alone = spread(sample([0, 1, 0], [10, 9, 12]))  # A = 3·50, B = 2 / 3, R = 2
    assert (seeds_alone.error, seeds_alone.freedom) == (pytest.approx(5), 1)


@pytest.mark.parametrize(
    ("numbers", "covers", "alone"),
    [
        (sample([1, 4, 2, 7]), "clips", [1, 4, 2, 7]),
        (sample([1], [4], [6]), "seeds", [1, 4, 6]),
        (sample([1, 2], [4], [6, 7, 8], crossed=False), "seeds and clips", [1.5, 4, 7]),
    ],
)
def test_one_thing_that_varies_gives_students_interval(numbers, covers, alone):
    low, high = t_interval(numbers)
    expected = stats.ttest_1samp(alone, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    assert spread(numbers).covers == covers


def test_a_single_number_has_no_interval():
    assert spread(sample([3])) is None
    assert t_interval(sample([3])) is None
    assert bootstrap_interval(sample([3])) is None


def test_the_interval_holds_the_truth_where_seeds_matter_and_where_clips_do():
    generator = np.random.default_rng(0)
    for of_seeds, of_clips in ((1.0, 0.1), (0.2, 1.0)):
        held = 0
        for _ in range(400):
            table = of_seeds * generator.normal(size=(3, 1)) + of_clips * generator.normal(size=(1, 8))
            low, high = t_interval(sample(*(table + 0.1 * generator.normal(size=(3, 8)))))
            held += low <= 0 <= high
        assert 0.92 < held / 400 < 0.99


def test_the_bootstrap_draws_seeds_and_clips():
    # all 2² draws of seeds times all 2² of clips: the mean is (i + 10 j) / 4 with i, j in 0 to 2, for 0, 1, 10, 11
    low, high = bootstrap_interval(sample([0, 1], [10, 11]))
    assert (low, high) == (0.0, 11.0)
    one_seed = bootstrap_interval(sample([1.0, 4.0, 2.0, 7.0, 5.0, 3.0]))
    reference = stats.bootstrap(([1.0, 4.0, 2.0, 7.0, 5.0, 3.0],), np.mean, method="percentile", rng=1)
    assert one_seed == pytest.approx(tuple(reference.confidence_interval), abs=0.15)
    assert bootstrap_interval(sample([0, 1], [10, 11])) == (low, high)


def test_clips_of_a_seed_are_drawn_within_it():
    low, high = bootstrap_interval(sample([0, 0, 0], [10], crossed=False))
    assert (low, high) == (0.0, 10.0)


@given(
    st.lists(st.lists(st.floats(-100, 100), min_size=3, max_size=3), min_size=2, max_size=4),
    st.floats(-50, 50),
    st.floats(0.1, 10),
)
@settings(max_examples=30, deadline=None)
def test_intervals_move_and_scale_with_the_numbers(rows, shift, scale):
    plain, moved = sample(*rows), sample(*[[scale * value + shift for value in row] for row in rows])
    expected = [scale * end + shift for end in t_interval(plain)]
    assert t_interval(moved) == pytest.approx(expected, abs=1e-3, rel=1e-6)
