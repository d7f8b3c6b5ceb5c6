import math
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvface.report.histograms import BINS, LEFT, RIGHT, WIDTH, Axis, histogram

NUMBERS = st.floats(-1e9, 1e9).filter(lambda value: abs(value) > 1e-9 or value == 0)


def drawn(groups, marks=None, name="sharpness"):
    return ElementTree.fromstring(histogram(name, groups, marks or {}))


def texts(picture):
    return [element.text for element in picture.iter("text")]


def told(picture):
    """(low, high, kept, refused) of every bar, as hovering tells it."""
    pattern = re.compile(r"(\S+) to (\S+): ([\d,]+) kept, ([\d,]+) refused")
    found = [pattern.fullmatch(title.text).groups() for title in picture.iter("title")]
    return [(float(low), float(high), int(kept), int(refused)) for low, high, kept, refused in found]


def test_bars_stand_where_the_values_are_and_refused_clips_on_top_of_kept_ones():
    picture = drawn({"kept": [0.0, 0.0, 0.0, 32.0], "refused": [0.5, 16.5]})
    assert told(picture) == [(0, 1, 3, 1), (16, 17, 0, 1), (31, 32, 1, 0)]
    first = picture.find("g").findall("rect")
    low, high = ({name: float(one.get(name)) for name in ("x", "y", "height")} for one in first)
    assert [one.get("class") for one in first] == ["group-0", "group-1"]
    assert low["height"] == pytest.approx(75)
    assert high["height"] == pytest.approx(25)
    assert high["y"] + high["height"] == pytest.approx(low["y"])
    assert low["x"] == LEFT


def test_a_mark_stands_at_its_value_with_its_label():
    picture = drawn({"kept": [0.0, 100.0], "refused": []}, {"least": 25.0, "most": 75.0})
    lines = [float(line.get("x1")) for line in picture.iter("line") if line.get("class") == "mark"]
    width = WIDTH - LEFT - RIGHT
    assert lines == pytest.approx([LEFT + 0.25 * width, LEFT + 0.75 * width], abs=0.06)
    assert {"least 25", "most 75"} <= set(texts(picture))


def test_the_axis_reaches_to_a_mark_that_lies_beyond_all_values():
    picture = drawn({"kept": [10.0, 20.0]}, {"least": 0.0})
    (line,) = [line for line in picture.iter("line") if line.get("class") == "mark"]
    assert float(line.get("x1")) == LEFT


def test_a_long_tail_gets_a_logarithmic_axis():
    picture = drawn({"kept": [1.0, 10.0, 10.0, 100.0, 10000.0]})
    assert "logarithmic" in picture.get("aria-label")
    assert {"1", "10", "100", "1000", "1e+04"} <= set(texts(picture))
    assert len(Axis.around(np.array([1e-9, 1e-9, 1e9]), []).ticks()) <= 7
    assert "logarithmic" not in drawn({"kept": [0.01, 10.0, 20.0, 30.0]}).get("aria-label")
    assert "logarithmic" not in drawn({"kept": [0.0, 1.0, 1.0, 10000.0]}).get("aria-label")


def test_outliers_are_counted_at_the_end_and_said_to_lie_beyond():
    values = [float(value % 100) for value in range(1000)]
    picture = drawn({"kept": [*values, 1e6], "refused": [-1e6]})
    assert sum(kept + refused for _, _, kept, refused in told(picture)) == 1002
    assert {"≤ 0", "≥ 99"} <= set(texts(picture))
    assert not any(text.startswith("≥") for text in texts(drawn({"kept": values})))


def test_labels_are_escaped_and_what_is_not_finite_is_left_out():
    hostile = '"><script>'
    picture = drawn({hostile: [1.0, math.nan, math.inf]}, {hostile: 1.0}, name=hostile)
    assert picture.get("aria-label") == f"histogram of {hostile}"
    assert f"1 {hostile}" in next(picture.iter("title")).text
    with pytest.raises(ValueError, match="yaw has no finite value"):
        histogram("yaw", {"kept": [math.nan], "refused": []}, {})


@given(st.lists(NUMBERS, min_size=1, max_size=300), st.lists(NUMBERS, max_size=50), st.lists(NUMBERS, max_size=2))
def test_every_value_is_counted_once_and_nothing_is_drawn_outside(kept, refused, marks):
    picture = drawn({"kept": kept, "refused": refused}, dict(zip(("least", "most"), marks, strict=False)))
    bars = told(picture)
    assert sum(bar[2] for bar in bars) == len(kept)
    assert sum(bar[3] for bar in bars) == len(refused)
    assert len(bars) <= BINS
    width, height = (float(side) for side in picture.get("viewBox").split()[2:])
    for bar in picture.iter("rect"):
        assert float(bar.get("x")) >= LEFT
        assert float(bar.get("x")) + float(bar.get("width")) <= width - RIGHT
        # Each group's bar is at least one pixel high.
        assert float(bar.get("y")) >= -1
        assert float(bar.get("y")) + float(bar.get("height")) <= height
    for text in picture.iter("text"):
        assert 0 <= float(text.get("x")) <= width


@given(st.lists(NUMBERS, min_size=1), st.floats(0, 1))
def test_places_and_values_of_an_axis_agree(values, place):
    axis = Axis.around(np.array(values), [])
    assert axis.place(axis.value(place)) == pytest.approx(place, abs=1e-6)
    ticks = axis.ticks()
    assert ticks == sorted(ticks)
    assert all(axis.low <= tick <= axis.high for tick in ticks)
    assert len(ticks) <= 9
