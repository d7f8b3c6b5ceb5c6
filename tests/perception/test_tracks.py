from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvface.perception.alignment import TEMPLATE
from dvface.perception.detection import Face
from dvface.perception.tracks import Tracker, context, fill_missed, smooth


def face(x: float, y: float = 100.0, side: float = 100.0) -> Face:
    """A face whose aligned square has its corner at x, y."""
    marks = (TEMPLATE * side + [x, y]).astype(np.float32)
    return Face(np.array([x, y, x + side, y + side], np.float32), marks, 1.0)


def tracker(**changed: Any) -> Tracker:
    return Tracker(**{"most_step": 0.3, "most_growth": 1.4, "most_missed": 2, "most_faces": 3, **changed})


def followed(frames: list[list[Face]], **changed: float) -> list[list[tuple[int, bool]]]:
    """Track and whether it was seen, frame by frame."""
    own = tracker(**changed)
    return [[(one.track, one.seen) for one in own.update(faces)] for faces in frames]


def test_two_faces_keep_their_numbers_whichever_comes_first() -> None:
    found = followed([[face(0), face(300)], [face(310), face(10)], [face(20), face(320)]])
    assert found == [[(0, True), (1, True)]] * 3


def test_faces_that_pass_each_other_are_told_apart_by_size() -> None:
    small = [face(100 + 8 * step, side=60) for step in range(10)]
    large = [face(172 - 8 * step, y=80, side=120) for step in range(10)]
    own = tracker()
    for one, other in zip(small, large, strict=True):
        sightings = own.update([other, one])
        assert sightings[0].face is other
        assert sightings[1].face is one


@pytest.mark.parametrize(("second", "same"), [(face(29), True), (face(31), False)])
def test_a_step_of_more_than_its_limit_begins_another_track(second: Face, same: bool) -> None:
    found = followed([[face(0)], [second]], most_missed=0)
    assert found[1] == [(0 if same else 1, True)]


@pytest.mark.parametrize(("side", "same"), [(139, True), (141, False)])
def test_growth_beyond_its_limit_begins_another_track(side: float, same: bool) -> None:
    # Both have the mean of their landmarks at one place.
    middle = TEMPLATE.mean(0) * (100 - side)
    found = followed([[face(0, 0)], [face(middle[0], middle[1], side)]], most_missed=0)
    assert found[1] == [(0 if same else 1, True)]


def test_a_face_missed_for_as_long_as_allowed_is_the_same_when_it_returns() -> None:
    assert followed([[face(0)], [], [], [face(5)]]) == [[(0, True)], [(0, False)], [(0, False)], [(0, True)]]
    assert followed([[face(0)], [], [], [], [face(5)]])[3:] == [[], [(1, True)]]


def test_more_faces_than_allowed_start_no_track_until_there_is_room() -> None:
    crowd = [face(200.0 * number) for number in range(4)]
    found = followed([crowd, crowd[1:], crowd[1:]], most_missed=0)
    assert [len(tracks) for tracks in found] == [3, 3, 3]
    assert found[1] == [(1, True), (2, True), (3, True)]


def test_a_cut_ends_every_track() -> None:
    own = tracker()
    own.update([face(0)])
    own.cut()
    assert [one.track for one in own.update([face(0)])] == [1]


def test_missed_points_lie_on_a_line_between_their_neighbours() -> None:
    points = np.array([[0.0], [99], [99], [6], [99]])
    filled = fill_missed(points, np.array([True, False, False, True, False]))
    np.testing.assert_allclose(filled[:, 0], [0, 2, 4, 6, 6])
    with pytest.raises(ValueError, match="no frame"):
        fill_missed(points, np.zeros(5, bool))


@given(
    st.floats(0, 6),
    st.integers(1, 60),
    st.floats(-3, 3, allow_subnormal=False),
    st.floats(-50, 50, allow_subnormal=False),
)
def test_steady_motion_is_left_as_it_is(sigma: float, frames: int, speed: float, start: float) -> None:
    line = (start + speed * np.arange(frames))[:, None]
    np.testing.assert_allclose(smooth(line, sigma), line, atol=1e-6)


def test_jitter_shrinks_and_a_jump_of_one_frame_is_gone() -> None:
    random = np.random.default_rng(0)
    noisy = np.sin(np.arange(200) / 30)[:, None] * 20 + random.normal(size=(200, 1))
    noisy[100] += 60
    truth = np.sin(np.arange(200) / 30)[:, None] * 20
    error = np.abs(smooth(noisy, 5) - truth)
    assert error.max() < 1.5
    assert np.abs(np.diff(smooth(noisy, 5)[20:180, 0], 2)).mean() < np.abs(np.diff(noisy[20:180, 0], 2)).mean() / 20


def ends(values: np.ndarray) -> np.ndarray:
    return values[:, [0, 1, -2, -1]]


def test_jitter_shrinks_at_the_ends_too() -> None:
    # Measured: the ends stray by 0.62, from one frame to the next by 0.13; inside by 0.27 and 0.04.
    noise = np.random.default_rng(0).normal(size=(120, 1000))
    smoothed = smooth(noise, 5).T
    assert ends(smoothed).std(0).max() < 0.7
    assert smoothed[:, 20:-20].std(0).max() < 0.32
    steps = np.diff(smoothed, axis=1).std(0)
    assert steps.max() < 0.15
    assert steps[20:-20].max() < 0.045


@pytest.mark.parametrize("sigma", [1.0, 5.0])
@pytest.mark.parametrize("place", [0, 1, 2, 30, -2, -1])
def test_a_jump_of_one_frame_leaves_no_trace_anywhere(place: int, sigma: float) -> None:
    line = (40 + 1.5 * np.arange(60))[:, None]
    jumped = line.copy()
    jumped[place] += 20
    np.testing.assert_allclose(smooth(jumped, sigma), line, atol=1e-6)
    # With jitter of 0.3 the line is known less well. Measured: 3.1 at most at the ends, mostly 0.7; inside 0.6.
    jitter = 0.3 * np.random.default_rng(1).normal(size=(60, 500))
    left = np.abs(smooth(jumped + jitter, sigma) - smooth(line + jitter, sigma)).max(0)
    assert left.max() < (1 if place == 30 else 4)
    assert np.median(left) < 1


def test_a_jump_of_two_frames_is_put_back() -> None:
    points = np.zeros((40, 1))
    points[20:22] = 20
    np.testing.assert_allclose(smooth(points, 3), 0, atol=1e-6)


def test_a_fast_nod_keeps_its_height() -> None:
    # A median of five frames before the Gaussian would leave 36.9 of the peak of 40.
    nod = 40 * np.cos(np.arange(-20, 21) * np.pi / 8)[:, None]
    alone = 40 * np.exp(-0.5 * (np.pi / 8 * 0.5) ** 2)
    assert smooth(nod, 0.5)[20, 0] == pytest.approx(alone, abs=0.5)


@given(st.integers(1, 5), st.floats(0.1, 6))
def test_short_tracks_stay_within_their_range_of_places(frames: int, sigma: float) -> None:
    points = np.random.default_rng(frames).normal(size=(frames, 5, 2))
    smoothed = smooth(points, sigma)
    assert smoothed.shape == points.shape
    assert np.abs(smoothed).max() < 2 * np.abs(points).max()
    assert frames > 2 or np.allclose(smoothed, points)


def test_inside_smoothing_is_the_mean_with_a_gaussians_weights() -> None:
    parabola = (np.arange(41.0) - 20)[:, None] ** 2
    places = np.arange(-6, 7)
    weights = np.exp(-0.5 * (places / 2) ** 2)
    expected = parabola[6:-6, 0] + (weights * places**2).sum() / weights.sum()
    np.testing.assert_allclose(smooth(parabola, 2)[8:-8, 0], expected[2:-2])


def test_what_lies_beyond_the_context_does_not_matter() -> None:
    random = np.random.default_rng(1)
    points = random.normal(size=(120, 2))
    around = context(3.0)
    other = points.copy()
    other[: 60 - around] += 100
    other[60 + around + 1 :] -= 100
    np.testing.assert_allclose(smooth(points, 3.0)[60], smooth(other, 3.0)[60])
    # Nor does whether it is there at all.
    short = smooth(points[60 - around : 60 + around + 1], 3.0)
    np.testing.assert_allclose(smooth(points, 3.0)[60], short[around])
