import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from dvface.evaluation.results import ClipResult, bootstrap_intervals, intervals


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    (interval,) = bootstrap_intervals(values[:, None])
    return interval


def test_of_two_clips_the_interval_reaches_from_one_to_the_other() -> None:
    # a resample's mean is 1 or 3 with probability 1/4 each, so both lie within 95 %
    assert bootstrap_interval(np.array([1.0, 3.0])) == (1.0, 3.0)


def test_one_clip_says_nothing_about_spread() -> None:
    assert intervals([ClipResult("a", 3, 0, {"psnr": 30.0})], ["psnr"]) == {}


def test_it_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).normal(30, 2, 40)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=50_000, method="percentile", rng=1).confidence_interval
    ours = bootstrap_interval(values)
    assert ours == pytest.approx(tuple(theirs), abs=0.03 * (theirs.high - theirs.low))


@given(st.lists(st.floats(-100, 100), min_size=2, max_size=30))
def test_it_holds_the_mean_of_equal_clips_and_lies_within_all(values: list[float]) -> None:
    ours = bootstrap_interval(np.array(values))
    assert min(values) - 1e-9 <= ours[0] <= ours[1] <= max(values) + 1e-9


def test_it_narrows_with_the_root_of_the_number_of_clips() -> None:
    values = np.random.default_rng(0).normal(size=25)
    few, many = bootstrap_interval(values), bootstrap_interval(np.tile(values, 16))
    assert (few[1] - few[0]) / (many[1] - many[0]) == pytest.approx(4, rel=0.1)


def test_measures_of_the_same_clips_have_the_intervals_that_each_has_alone() -> None:
    values = np.random.default_rng(0).normal(size=(9, 3))
    clips = [ClipResult(str(row), 3, 0, dict(zip("abc", numbers, strict=True))) for row, numbers in enumerate(values)]
    alone = {name: bootstrap_interval(values[:, column]) for column, name in enumerate("abc")}
    together = intervals(clips, ["a", "b", "c"])
    assert all(together[name] == pytest.approx(interval) for name, interval in alone.items())


def test_clips_without_an_answer_do_not_count() -> None:
    clips = [ClipResult(str(number), 3, 0, {"ids": value}) for number, value in enumerate((0.5, 0.7, float("inf")))]
    clips.append(ClipResult("none", 3, 0, {}))
    assert intervals(clips, ["ids"]) == {"ids": (0.5, 0.7)}
