"""Film's wear in numbers: what each operator changes, what it leaves, and that records replay."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import shift

from dvface.degradation.film import (
    BRIGHTEST_GRAIN,
    ColourLoss,
    Fading,
    FilmGrain,
    Flicker,
    grain_weight,
    luma,
    smooth_noise,
)
from dvface.degradation.film_damage import Dust, Scratches
from dvface.degradation.film_motion import FrameDrops, Interlacing, Shake, path
from dvface.degradation.operator import Operator

OPERATORS: dict[str, Operator] = {
    "fading": Fading([0, 0.8], [0, 0.5]),
    "colour_loss": ColourLoss([0, 1], [0, 1]),
    "flicker": Flicker([0, 0.4], [0, 1]),
    "grain": FilmGrain([0, 40], [0, 3], 0.5),
    "scratches": Scratches([0, 6], [0.5, 4], [1, 30], [0, 1], 0.5),
    "dust": Dust([0, 12], [0.3, 12], [0, 1], 0.5),
    "interlacing": Interlacing(0.5),
    "drops": FrameDrops([0, 0.6], 5),
    "shake": Shake([0, 6], [0, 4]),
}


@pytest.fixture(scope="module")
def footage(carphone: np.ndarray) -> np.ndarray:
    return (carphone[:12] / 255).astype(np.float32)


def applied(operator: Operator, clip: np.ndarray, seed: int = 0) -> np.ndarray:
    return operator.apply(clip, operator.draw(np.random.default_rng(seed), clip.shape))


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**40), frames=st.integers(1, 7), height=st.integers(1, 40), width=st.integers(1, 40))
def test_any_clip_stays_finite_and_replays_bit_for_bit(name, seed, frames, height, width):
    rng = np.random.default_rng(seed)
    # Operators before it may leave [0, 1] a little.
    clip = rng.random((frames, height, width, 3), dtype=np.float32) * np.float32(1.4) - np.float32(0.2)
    before = clip.copy()
    record = OPERATORS[name].draw(rng, clip.shape)
    degraded = OPERATORS[name].apply(clip, record)
    np.testing.assert_array_equal(
        degraded, OPERATORS[name].apply(clip, json.loads(json.dumps(record, allow_nan=False)))
    )
    np.testing.assert_array_equal(clip, before)
    assert degraded.shape == clip.shape
    assert degraded.dtype == np.float32
    assert np.isfinite(degraded).all()
    assert record.get("seed", 0) < 2**53


@pytest.mark.parametrize("name", OPERATORS)
def test_other_draws_give_other_pixels(name: str, footage: np.ndarray):
    results = [applied(OPERATORS[name], footage, seed) for seed in range(4)]
    assert any(np.abs(results[0] - other).max() > 1e-3 for other in results[1:])


def test_fading_lifts_black_keeps_white_and_loses_its_share_of_contrast(footage: np.ndarray):
    faded = applied(Fading([0.3, 0.3], [0, 0]), footage)
    assert faded.std() == pytest.approx(0.7 * footage.std(), rel=1e-3)
    ends = np.stack([np.zeros((4, 4, 3)), np.ones((4, 4, 3))]).astype(np.float32)
    tinted = applied(Fading([0.3, 0.3], [0.1, 0.1]), ends)
    np.testing.assert_allclose(tinted[1], 1, atol=1e-6)
    assert tinted[0].mean() == pytest.approx(0.3, abs=1e-6)
    # Three cosines a third of a turn apart have a mean square of one half.
    assert tinted[0, 0, 0].std() == pytest.approx(0.1 / math.sqrt(2), rel=1e-4)


def test_fading_has_no_channel_lose_more_than_all():
    rng = np.random.default_rng(0)
    losses = np.array([Fading([0, 1], [0, 1]).draw(rng, ())["loss"] for _ in range(300)])
    assert losses.min() >= -1e-9
    assert losses.max() <= 1 + 1e-9
    assert np.ptp(losses, axis=1).max() > 0.5


def test_colour_loss_leaves_luma_and_goes_to_grey_and_to_brown(footage: np.ndarray):
    for saturation, sepia in [(0, 0), (0.4, 0), (0, 1), (0.7, 0.5)]:
        paler = applied(ColourLoss([saturation] * 2, [sepia] * 2), footage)
        np.testing.assert_allclose(luma(paler), luma(footage), atol=1e-5)
    grey = applied(ColourLoss([0, 0], [0, 0]), footage)
    assert np.ptp(grey, axis=-1).max() < 1e-6
    half = applied(ColourLoss([0.5, 0.5], [0, 0]), footage)
    np.testing.assert_allclose(half - grey, (footage - grey) / 2, atol=1e-6)
    brown = applied(ColourLoss([0, 0], [1, 1]), footage).mean((0, 1, 2))
    assert brown[0] > brown[1] > brown[2]


@pytest.mark.parametrize("correlation", [0.0, 0.8])
def test_flicker_changes_the_brightness_of_frames_and_nothing_else(correlation: float):
    clip = np.random.default_rng(0).random((4000, 2, 2, 3), dtype=np.float32) * 0.5 + 0.25
    flickering = applied(Flicker([0.05, 0.05], [correlation] * 2), clip)
    gains = flickering / clip
    np.testing.assert_allclose(gains, np.broadcast_to(gains[:, :1, :1, :1], gains.shape), rtol=1e-5)
    series = gains[:, 0, 0, 0].astype(float) - 1
    assert series.std() == pytest.approx(0.05, rel=0.1)
    assert abs(series.mean()) < 0.01
    assert np.corrcoef(series[:-1], series[1:])[0, 1] == pytest.approx(correlation, abs=0.05)


@pytest.mark.parametrize("size", [0.0, 0.7, 2.0])
@pytest.mark.parametrize("value", [0.2, 0.607, 0.9])
def test_grain_has_its_deviation_at_every_luma(size: float, value: float):
    clip = np.full((6, 96, 96, 3), value, np.float32)
    grain = applied(FilmGrain([10, 10], [size, size], 0), clip) - clip
    expected = 10 / 255 * value * math.sqrt(-2 * math.e * math.log(value))
    assert grain.std() == pytest.approx(expected, rel=0.04)
    assert abs(grain.mean()) < expected / 20
    assert not np.array_equal(grain[0], grain[1])


def test_grain_spares_black_and_white_and_may_be_grey():
    values = np.linspace(-0.2, 1.2, 1401)
    weights = grain_weight(values)
    assert values[weights.argmax()] == pytest.approx(BRIGHTEST_GRAIN, abs=1e-3)
    assert weights.max() == pytest.approx(1, abs=1e-5)
    assert weights[values <= 0].max() < 1e-4
    assert weights[values >= 1].max() < 1e-4
    clip = np.full((2, 16, 16, 3), 0.5, np.float32)
    assert np.ptp(applied(FilmGrain([20, 20], [1, 1], 1), clip), axis=-1).max() < 1e-6
    assert np.ptp(applied(FilmGrain([20, 20], [1, 1], 0), clip), axis=-1).max() > 0.05


def test_coarse_noise_has_the_correlation_of_its_gaussian():
    noise = smooth_noise(np.random.default_rng(0), (40, 64, 64, 1), 1.5)
    assert noise.std() == pytest.approx(1, rel=0.02)
    for step in (1, 2, 4):
        measured = np.mean(noise[:, :, step:] * noise[:, :, :-step])
        assert measured == pytest.approx(math.exp(-(step**2) / (4 * 1.5**2)), abs=0.03)


def test_scratches_are_as_many_and_as_wide_as_asked_and_stay_for_frames():
    clip = np.full((400, 48, 200, 3), 0.5, np.float32)
    scratches = Scratches([3, 3], [2, 2], [5, 15], [0.2, 0.2], 0.5)
    marks = np.abs(applied(scratches, clip) - clip)[..., 0]
    # One line hides 0.2·|0.5| over a Gaussian of area √(2π)·width/2 and, on average, 0.65 of the height.
    one = 0.2 * 0.5 * math.sqrt(2 * math.pi) * 1 * 0.65 * 48
    assert marks.sum((1, 2)).mean() / one == pytest.approx(3, rel=0.2)
    touched = (marks > 0.05).any(1)
    stays = np.mean([(touched[frame] & touched[frame + 1]).sum() / touched[frame].sum() for frame in (50, 150, 250)])
    assert stays > 0.5
    far = np.mean([(touched[frame] & touched[frame + 60]).sum() / touched[frame].sum() for frame in (50, 150, 250)])
    assert far < stays / 2


def test_a_scratch_runs_down_the_film():
    clip = np.full((1, 60, 200, 3), 0.5, np.float32)
    marks = [
        np.argwhere(np.abs(applied(Scratches([1, 1], [1, 1], [1, 1], [1, 1], 1), clip, seed) - clip)[0, ..., 0] > 0.2)
        for seed in range(40)
    ]
    extents = np.array([np.ptp(points, axis=0) for points in marks if len(points)])
    assert len(extents) > 10
    assert np.median(extents[:, 0]) > 4 * np.median(extents[:, 1])


@pytest.mark.parametrize("white", [0, 1])
def test_damage_is_white_or_black_as_asked(white: int):
    clip = np.full((10, 40, 40, 3), 0.5, np.float32)
    for damage in (Scratches([4, 4], [2, 2], [2, 4], [1, 1], white), Dust([5, 5], [2, 4], [1, 1], white)):
        change = applied(damage, clip) - clip
        assert (change if white else -change).min() >= 0
        assert np.abs(change).max() == pytest.approx(0.5, abs=0.05)


def test_dust_covers_what_was_asked_and_is_gone_with_the_frame():
    clip = np.full((200, 128, 128, 3), 0.5, np.float32)
    marks = np.abs(applied(Dust([4, 4], [3, 5], [1, 1], 0.5), clip) - clip)[..., 0] / 0.5
    # The mean of r² over [3, 5] is 49/3, the waves add half their squares; the borders cut a little off.
    area = math.pi * 49 / 3 * (1 + (0.2**2 + 0.1**2 + 0.05**2) / 2)
    assert marks.sum((1, 2)).mean() == pytest.approx(4 * area, rel=0.12)
    both = (marks[1:] > 0.5) & (marks[:-1] > 0.5)
    assert both.mean() < 3 * (marks > 0.5).mean() ** 2


@pytest.mark.parametrize("top_first", [True, False])
def test_interlacing_takes_lines_from_the_two_right_frames(top_first: bool, footage: np.ndarray):
    woven = applied(Interlacing(float(top_first)), footage)
    first, second = (0, 1) if top_first else (1, 0)
    for frame in range(11):
        np.testing.assert_array_equal(woven[frame, first::2], footage[frame, first::2])
        np.testing.assert_array_equal(woven[frame, second::2], footage[frame + 1, second::2])
    np.testing.assert_array_equal(woven[11], footage[11])


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**40), probability=st.floats(0, 1), longest=st.integers(1, 6), frames=st.integers(1, 60))
def test_drops_show_earlier_frames_in_order_and_no_gap_is_too_long(seed, probability, longest, frames):
    clip = np.zeros((frames, 1, 1, 3), np.float32) + np.arange(frames, dtype=np.float32)[:, None, None, None]
    shown = applied(FrameDrops([probability] * 2, longest), clip, seed)[:, 0, 0, 0].astype(int)
    assert len(shown) == frames
    assert shown[0] == 0
    late = np.arange(frames) - shown
    assert 0 <= late.min() <= late.max() <= longest
    assert (np.diff(shown) >= 0).all()
    np.testing.assert_array_equal(shown[late == 0], np.flatnonzero(late == 0))


def test_drops_come_in_their_share():
    clip = np.arange(6000, dtype=np.float32)[:, None, None, None]
    shown = applied(FrameDrops([0.1, 0.1], 3), clip)[:, 0, 0, 0]
    assert np.mean(shown != np.arange(6000)) == pytest.approx(0.2 / 1.2, abs=0.02)


def test_shake_moves_each_frame_along_its_path():
    y, x = np.mgrid[0:64, 0:80]
    picture = 0.5 + 0.2 * np.sin(x / 5) + 0.2 * np.cos(y / 6)
    clip = np.repeat(np.repeat(picture[None, ..., None], 6, 0), 3, -1).astype(np.float32)
    shake = Shake([1.5, 1.5], [1, 1])
    record = shake.draw(np.random.default_rng(3), clip.shape)
    shaken = shake.apply(clip, record)
    for frame, (right, down) in zip(shaken, path(6, record), strict=True):
        reference = shift(picture, (down, right), order=3, mode="mirror")
        np.testing.assert_allclose(frame[8:-8, 8:-8, 0], reference[8:-8, 8:-8], atol=0.01)


@pytest.mark.parametrize("smoothness", [0.0, 2.0])
def test_the_path_has_its_deviation_and_is_as_smooth_as_asked(smoothness: float):
    moves = path(6000, {"pixels": 2.0, "smoothness": smoothness, "seed": 5})
    np.testing.assert_allclose(moves.std(0), 2, rtol=0.1)
    expected = math.exp(-1 / (4 * smoothness**2)) if smoothness else 0
    assert np.corrcoef(moves[:-1, 0], moves[1:, 0])[0, 1] == pytest.approx(expected, abs=0.05)
    assert abs(np.corrcoef(moves[:, 0], moves[:, 1])[0, 1]) < 0.15


def test_strength_nought_changes_nothing(footage: np.ndarray):
    for operator in (
        Fading([0, 0], [0, 1]),
        ColourLoss([1, 1], [0, 0]),
        Flicker([0, 0], [0, 1]),
        FilmGrain([0, 0], [1, 1], 0),
        Scratches([0, 0], [1, 1], [1, 9], [1, 1], 0.5),
        Dust([0, 0], [1, 1], [1, 1], 0.5),
        FrameDrops([0, 0], 3),
        Shake([0, 0], [1, 1]),
    ):
        np.testing.assert_allclose(applied(operator, footage), footage, atol=1e-6)


@pytest.mark.parametrize("name", OPERATORS)
def test_descriptions_carry_numbers(name: str):
    assert any(character.isdigit() for character in OPERATORS[name].describe())


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Fading([0, 1.1], [0, 0]), r"strength must be \[low, high\] with 0 <= low <= high <= 1"),
        (lambda: Fading([0, 1], [-0.1, 0]), "tint must be"),
        (lambda: ColourLoss([0.5, 0.2], [0, 0]), "saturation must be"),
        (lambda: ColourLoss([0, 1], [0, 2]), "sepia must be"),
        (lambda: Flicker([0, 2], [0, 1]), "strength must be"),
        (lambda: Flicker([0, 1], [0, 1.5]), "correlation must be"),
        (lambda: FilmGrain([-1, 2], [0, 1], 0), "strength must be"),
        (lambda: FilmGrain([1, 2], [0, 1], 2), r"grey_probability must be in \[0, 1\]"),
        (lambda: Scratches([1, 2], [0, 2], [1, 2], [0, 1], 0.5), "width must be"),
        (lambda: Scratches([1, 2], [1, 2], [0, 2], [0, 1], 0.5), "lifetime must be"),
        (lambda: Dust([1, 2], [0, 2], [0, 1], 0.5), "size must be"),
        (lambda: Dust([1, 2], [1, 2], [0, 1], 1.5), "bright_probability must be"),
        (lambda: Interlacing(2), "top_first_probability must be"),
        (lambda: FrameDrops([0, 0.5], 0), "longest must be at least 1 frame, got 0"),
        (lambda: FrameDrops([0, 1.5], 2), "probability must be"),
        (lambda: Shake([-1, 2], [1, 1]), "pixels must be"),
    ],
)
def test_impossible_settings_are_refused_by_name(build, message: str):
    with pytest.raises(ValueError, match=message):
        build()
