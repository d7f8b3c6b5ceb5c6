"""The random blurs, resizes and noises: what they draw, what they do, and that nothing breaks in their ranges."""

import json
import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson

from dvface.degradation.kernel_blur import KINDS, KernelBlur
from dvface.degradation.lens import Defocus, MotionBlur, SincBlur
from dvface.degradation.noise import GaussianNoise
from dvface.degradation.poisson import PoissonNoise, noise_table
from dvface.degradation.random_resize import RandomResize
from dvface.degradation.recipe import Recipe
from dvface.degradation.resize import Downscale

SHAPE = (5, 24, 24, 3)
EQUAL = {"area": 0.333, "bilinear": 0.334, "bicubic": 0.333}
DIRECTIONS = {"up": 0.2, "down": 0.7, "keep": 0.1}


def kernel_blur(probabilities: dict[str, float]) -> KernelBlur:
    return KernelBlur(
        kernel_sizes=[7, 21],
        probabilities=probabilities,
        sigma=[0.2, 3.0],
        beta_gaussian=[0.5, 4.0],
        beta_plateau=[1.0, 2.0],
        omega=[math.pi / 3, math.pi],
        omega_wide=[math.pi / 5, math.pi],
    )


def random_clip(seed: int, frames: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).random((frames, height, width, 3), dtype=np.float32)


def ranges(lowest: float, highest: float) -> st.SearchStrategy[list[float]]:
    return st.tuples(st.floats(lowest, highest), st.floats(lowest, highest)).map(sorted)


@st.composite
def operators(draw: st.DrawFn):
    share = st.floats(0, 1)
    return draw(
        st.one_of(
            st.just(kernel_blur(dict.fromkeys(KINDS, 1 / 7))),
            st.builds(MotionBlur, ranges(0, 30)),
            st.builds(Defocus, ranges(0, 12)),
            st.builds(SincBlur, st.sampled_from([[1, 1], [3, 7], [7, 21]]), ranges(0.3, 3.1416)),
            st.builds(PoissonNoise, ranges(0, 10), share, share),
            st.builds(GaussianNoise, ranges(0, 80), share, share),
            st.builds(
                lambda low, high, divisor: RandomResize([low, high], DIRECTIONS, EQUAL, divisor),
                st.floats(0.01, 1),
                st.floats(1, 2),
                st.none() | st.floats(0.5, 8),
            ),
        )
    )


@settings(deadline=None, max_examples=120)
@given(
    operator=operators(),
    seed=st.integers(0, 2**40),
    groups=st.integers(0, 2),
    height=st.integers(1, 40),
    width=st.integers(1, 40),
)
def test_any_numbers_in_range_give_finite_clips_of_the_right_shape(operator, seed, groups, height, width):
    clip = random_clip(seed, 4 * groups + 1, height, width)
    before = clip.copy()
    recipe = Recipe("one", {"one": operator})
    degraded, record = recipe(clip, np.random.default_rng(seed))
    assert degraded.dtype == np.float32
    assert np.isfinite(degraded).all()
    assert 0 <= degraded.min() <= degraded.max() <= 1
    assert len(degraded) == 4 * groups + 1
    assert degraded.shape == clip.shape or isinstance(operator, RandomResize)
    assert not np.may_share_memory(degraded, clip)
    np.testing.assert_array_equal(clip, before)
    np.testing.assert_array_equal(degraded, recipe.replay(clip, json.loads(json.dumps(record, allow_nan=False))))


def test_kernels_come_in_their_shares_sizes_and_ranges():
    shares = {"iso": 0.3, "aniso": 0.2, "generalized_iso": 0.1, "generalized_aniso": 0.1, "plateau_iso": 0.1}
    blur = kernel_blur({**shares, "plateau_aniso": 0.1, "sinc": 0.1})
    rng = np.random.default_rng(0)
    draws = [blur.draw(rng, SHAPE) for _ in range(3000)]
    kinds = [draw["kind"] for draw in draws]
    for kind, share in shares.items():
        assert kinds.count(kind) / 3000 == pytest.approx(share, abs=0.03)
    assert {draw["size"] for draw in draws} == {7, 9, 11, 13, 15, 17, 19, 21}
    for draw in draws:
        assert ("sigma_x" in draw) == (draw["kind"] != "sinc")
        assert ("beta" in draw) == draw["kind"].startswith(("generalized", "plateau"))
        if "sigma_x" in draw:
            assert (draw["sigma_x"] != draw["sigma_y"]) == draw["kind"].endswith("aniso")
        else:
            assert draw["omega"] >= (math.pi / 3 if draw["size"] < 13 else math.pi / 5)
    betas = [draw["beta"] for draw in draws if draw["kind"].startswith("generalized")]
    assert 0.5 <= min(betas) < 0.55
    assert 3.9 < max(betas) <= 4
    assert np.mean([beta < 1 for beta in betas]) == pytest.approx(0.5, abs=0.06)
    assert min(draw["omega"] for draw in draws if "omega" in draw) < math.pi / 4


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "sinc"])
def test_every_family_blurs(kind: str):
    blur, clip = kernel_blur({kind: 1.0}), random_clip(0, 2, 40, 40)
    strong = {**blur.draw(np.random.default_rng(0), clip.shape), "sigma_x": 3.0, "sigma_y": 3.0}
    assert blur.apply(clip, strong).std() < 0.4 * clip.std()
    assert blur.apply(clip, strong).mean() == pytest.approx(clip.mean(), abs=0.01)


def test_motion_smears_along_its_line_only():
    clip = np.zeros((1, 31, 31, 3), np.float32)
    clip[0, :, 15] = 1
    blur = MotionBlur([9, 9])
    np.testing.assert_allclose(blur.apply(clip, {"length": 9.0, "angle": math.pi / 2})[0], clip[0], atol=1e-3)
    assert blur.apply(clip, {"length": 9.0, "angle": 0.0})[0, 15, :, 0].max() == pytest.approx(1 / 9, rel=0.01)


def test_defocus_spreads_a_point_over_its_disc():
    clip = np.zeros((1, 31, 31, 3), np.float32)
    clip[0, 15, 15] = 1
    spread = Defocus([5, 5]).apply(clip, {"radius": 5.0})[0, :, :, 0]
    y, x = np.mgrid[-15:16, -15:16]
    np.testing.assert_allclose(spread[np.hypot(x, y) < 4.2], 1 / (math.pi * 25), rtol=0.01)
    np.testing.assert_allclose(spread[np.hypot(x, y) > 5.8], 0, atol=1e-7)


def test_sinc_rings_at_an_edge_where_a_gaussian_does_not():
    clip = np.zeros((1, 15, 60, 3), np.float32)
    clip[:, :, 30:] = 1
    ringing = SincBlur([21, 21], [1.1, 1.1]).apply(clip, {"size": 21, "omega": 1.1})
    assert ringing.max() > 1.05
    assert ringing.min() < -0.05


@pytest.mark.parametrize(
    ("name", "flag"), [("area", cv2.INTER_AREA), ("bilinear", cv2.INTER_LINEAR), ("bicubic", cv2.INTER_CUBIC)]
)
def test_resizing_is_opencvs(name: str, flag: int):
    clip = random_clip(0, 3, 33, 47)
    for scale, size in ((0.5, (24, 16)), (1.4, (66, 46))):
        resized = RandomResize([0.1, 2], DIRECTIONS, EQUAL).apply(
            clip, {"scale": scale, "interpolation": name, "base": None}
        )
        for frame, source in zip(resized, clip, strict=True):
            np.testing.assert_array_equal(frame, cv2.resize(source, size, interpolation=flag))


def test_resizing_goes_up_down_or_nowhere_in_their_shares():
    resizing = RandomResize([0.15, 1.5], DIRECTIONS, EQUAL)
    rng = np.random.default_rng(0)
    scales = np.array([resizing.draw(rng, SHAPE)["scale"] for _ in range(2000)])
    assert np.mean(scales > 1) == pytest.approx(0.2, abs=0.03)
    assert np.mean(scales == 1) == pytest.approx(0.1, abs=0.03)
    assert 0.15 <= scales.min() < 0.16
    assert 1.48 < scales.max() <= 1.5


def test_a_divisor_makes_the_size_that_of_the_recipes_input():
    steps = {
        "first": Downscale([3, 3], {"area": 1}),
        "target": RandomResize([1, 1], {"keep": 1}, {"area": 1}, divisor=4),
    }
    degraded, _ = Recipe("size", steps)(random_clip(0, 1, 40, 80), np.random.default_rng(0))
    assert degraded.shape == (1, 10, 20, 3)
    clip = random_clip(0, 1, 9, 9)
    keep = RandomResize([1, 1], {"keep": 1}, {"area": 1})
    assert keep.apply(clip, keep.draw(np.random.default_rng(0), clip.shape)) is clip


@pytest.mark.parametrize("level", [0, 1, 16, 128, 255])
def test_the_noise_table_holds_scipys_poisson_quantiles(level: int):
    rate, row = level * 256 / 255, noise_table()[level].astype(float) * 256
    exact = poisson.ppf((np.arange(4096) + 0.5) / 4096, rate)
    np.testing.assert_allclose(row, exact - exact.mean(), atol=1e-3)
    assert exact.mean() == pytest.approx(rate, abs=0.01)
    assert row.var() == pytest.approx(rate, rel=0.005)


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_photon_noise_has_a_variance_in_proportion_to_the_light(scale: float):
    noise = PoissonNoise([scale, scale], 0, 0)
    for value in (0.05, 0.2, 0.8, 1.0):
        clip = np.full((3, 128, 128, 3), value, np.float32)
        added = noise.apply(clip, noise.draw(np.random.default_rng(1), clip.shape)) - clip
        rounded = round(value * 255) / 255
        assert added.var() == pytest.approx(scale**2 * rounded / 256, rel=0.03)
        assert abs(added.mean()) < 5 * added.std() / math.sqrt(added.size)
    black = np.zeros((1, 16, 16, 3), np.float32)
    np.testing.assert_array_equal(noise.apply(black, noise.draw(np.random.default_rng(1), black.shape)), black)


@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("static", [False, True])
def test_photon_noise_keeps_its_choices(grey: bool, static: bool):
    clip = np.full((3, 32, 32, 3), 0.5, np.float32)
    noise = PoissonNoise([1, 1], float(grey), float(static))
    added = noise.apply(clip, noise.draw(np.random.default_rng(1), clip.shape)) - clip
    assert np.array_equal(added[0], added[1]) == static
    assert np.array_equal(added[..., 0], added[..., 1]) == grey


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (
            lambda: KernelBlur([7, 20], {"iso": 1}, [1, 2], [1, 2], [1, 2], [1, 2], [1, 2]),
            "kernel_sizes must be two odd",
        ),
        (lambda: kernel_blur({"round": 1}), "probabilities must be of iso, aniso, .*, got 'round'"),
        (lambda: kernel_blur({"iso": 0.5}), "probabilities must be at least 0 and sum to 1"),
        (lambda: kernel_blur({}), "probabilities must be at least 0 and sum to 1"),
        (lambda: KernelBlur([7, 9], {"iso": 1}, [1, 2], [1.5, 2], [1, 2], [1, 2], [1, 2]), "beta_gaussian must be"),
        (lambda: KernelBlur([7, 9], {"iso": 1}, [1, 2], [1, 2], [0, 2], [1, 2], [1, 2]), "beta_plateau must be"),
        (lambda: SincBlur([7, 9], [1, 4]), "omega must be"),
        (lambda: MotionBlur([-1, 4]), "length must be"),
        (lambda: Defocus([3, 2]), "radius must be"),
        (lambda: PoissonNoise([-1, 2], 0, 0), "scale must be"),
        (lambda: RandomResize([1.1, 2], DIRECTIONS, EQUAL), "low <= 1 <= high"),
        (lambda: RandomResize([0.5, 2], {"sideways": 1}, EQUAL), "directions must be of up, down, keep"),
        (lambda: RandomResize([0.5, 2], DIRECTIONS, {"nearest": 1}), "interpolations must be of area"),
        (lambda: RandomResize([0.5, 2], DIRECTIONS, EQUAL, 0), "divisor must be null or above 0, got 0"),
    ],
)
def test_impossible_settings_are_refused_by_name(build, message: str):
    with pytest.raises(ValueError, match=message):
        build()
