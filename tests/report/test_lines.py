import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dvface.report.lines import BANDS, COLUMNS, LEFT, PLOT, RIGHT, TOP, WIDTH, Line, line_plot


def drawn(*lines, form=".2f", **detail):
    return ElementTree.fromstring(line_plot("psnr", lines, form, **detail))


def pieces(picture, number=0):
    """(x, y) of the points of each unbroken piece of a curve."""
    path = picture.findall("path")[number].get("d")
    return [[tuple(map(float, point.split(","))) for point in piece.split("L")] for piece in path.split("M")[1:]]


def told(picture):
    return [title.text for title in picture.iter("title")]


def labels(picture, anchor):
    return [text.text for text in picture.iter("text") if text.get("text-anchor") == anchor]


def test_numbers_stand_where_axis_labels_say():
    picture = drawn(Line("ours", range(11), [20.0 + number for number in range(11)]))
    (points,) = pieces(picture)
    assert [x for x, _ in points] == pytest.approx(np.linspace(LEFT, WIDTH - RIGHT, 11), abs=0.06)
    ticks = {
        float(text.text): float(text.get("y")) - 4 for text in picture.iter("text") if text.get("text-anchor") == "end"
    }
    assert list(ticks) == [20, 22, 24, 26, 28, 30]
    heights = dict(zip(range(20, 31), (y for _, y in points), strict=True))
    assert all(heights[value] == pytest.approx(y, abs=0.11) for value, y in ticks.items())
    assert labels(picture, "middle") == ["0", "2", "4", "6", "8", "10", "frame"]


def test_hovering_tells_each_frame_s_numbers_of_every_line():
    picture = drawn(Line("a<b", [4, 5], [20.0, 30.5]), Line("other", [4, 5], [None, float("inf")]))
    assert told(picture) == ["frame 4; a<b: 20.00; other: no number", "frame 5; a<b: 30.50; other: no number"]


def test_a_curve_is_broken_where_numbers_or_frames_are_missing_and_a_lone_number_is_a_dot():
    picture = drawn(Line("ours", [0, 1, 2, 3, 4, 9, 10], [1.0, 2.0, None, 3.0, float("nan"), 1.0, 2.0]))
    found = pieces(picture)
    assert [len(piece) for piece in found] == [2, 2, 2]
    assert found[1][0] == found[1][1]


def test_a_very_long_clip_stays_small_and_keeps_its_peaks():
    values = np.sin(np.arange(100_000) / 500)
    values[70_001], values[30_001] = 9.0, -9.0
    text = line_plot("psnr", [Line("ours", range(100_000), values.tolist())])
    assert len(text) < 60_000
    picture = ElementTree.fromstring(text)
    (points,) = pieces(picture)
    assert len(points) <= 2 * COLUMNS + 2
    heights = [y for _, y in points]
    spread = 18 * 1.1
    assert min(heights) == pytest.approx(TOP + PLOT * (1 - (9 + 9.9) / spread), abs=0.1)
    assert max(heights) == pytest.approx(TOP + PLOT * (1 - (-9 + 9.9) / spread), abs=0.1)
    assert len(told(picture)) == BANDS
    assert any("to 9" in title for title in told(picture))


def test_a_long_clip_with_every_second_number_missing_stays_small_but_long_gaps_are_seen():
    values = [None if number % 2 or 40_000 <= number < 50_000 else 1.0 + number for number in range(100_000)]
    text = line_plot("ids", [Line("ours", range(100_000), values)])
    assert len(text) < 60_000
    assert len(pieces(ElementTree.fromstring(text))) == 2


@pytest.mark.parametrize("value", [0.0, 100.0, 0.0776, -3.0, 1e-7, 1e9])
def test_numbers_that_are_all_alike_stand_in_the_middle(value):
    picture = drawn(Line("ours", [7], [value]))
    ((first, second),) = pieces(picture)
    assert first == second == pytest.approx((LEFT + (WIDTH - LEFT - RIGHT) / 2, TOP + PLOT / 2), abs=0.06)


@example(values=[0.99999], label="")
@given(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True, width=32)), min_size=1, max_size=60),
    st.text(max_size=8),
)
def test_any_numbers_and_any_label_give_well_formed_svg_inside_its_frame(values, label):
    lines = [Line(label, range(len(values)), values), Line("anchor", [0], [1.0])]
    picture = drawn(*lines)
    points = [point for number in (0, 1) for piece in pieces(picture, number) for point in piece]
    assert all(LEFT - 0.1 <= x <= WIDTH - RIGHT + 0.1 and TOP <= y <= TOP + PLOT for x, y in points)
    ticks = labels(picture, "end")
    assert len(ticks) == len(set(ticks))
    assert all(re.fullmatch(r"-?[\d,.e+-]+", tick) for tick in ticks)


def test_ranges_are_filled_behind_their_curve_and_fit_into_the_plot():
    line = Line("ours", [0, 10], [1.0, 2.0], [(0.0, 1.5), (2.0, 4.0)])
    text = line_plot("loss", [Line("theirs", [0], [1.0]), line], over="step")
    ((path,),) = [re.findall(r'<path class="range range-1" d="M([^Z]+)Z"/>', text)]
    corners = [tuple(map(float, point.split(","))) for point in path.split("L")]
    assert [x for x, _ in corners] == [LEFT, WIDTH - RIGHT, WIDTH - RIGHT, LEFT]
    assert all(TOP <= y <= TOP + PLOT for _, y in corners)
    assert corners[0][1] > corners[3][1]  # the lower end lies below
    assert text.index('class="range') < text.index('class="line-1"')
    assert ">step</text>" in text
    assert "<title>step 10; theirs: no number; ours: 2</title>" in text


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="no finite number"):
        line_plot("psnr", [Line("ours", [0], [None])])
    with pytest.raises(ValueError, match="2 values of 1 frames"):
        line_plot("psnr", [Line("ours", [0], [1.0, 2.0])])
