import math

from dvface.comparison.curves import mean_line


def test_the_mean_over_seeds_lies_between_the_least_and_the_greatest():
    line = mean_line("full", [[(0, 1.0), (10, 3.0), (20, 9.0)], [(0, 2.0), (10, 7.0)], []])
    assert (list(line.frames), list(line.values)) == ([0, 10], [1.5, 5.0])  # of the steps that both have
    assert list(line.ranges) == [(1.0, 2.0), (3.0, 7.0)]


def test_one_seed_has_no_range_and_what_is_not_finite_is_left_out():
    line = mean_line("full", [[(0, 1.0), (10, math.nan), (20, 2.0)]])
    assert (list(line.frames), list(line.values), list(line.ranges)) == ([0, 20], [1.0, 2.0], [])
    assert list(mean_line("none", []).frames) == []
