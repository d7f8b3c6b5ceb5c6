"""Operators made of operators, and operators that drift over a clip."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.degradation.blur import GaussianBlur
from dvface.degradation.combine import Chain, OneOf, Shuffled
from dvface.degradation.compression import H264
from dvface.degradation.drifting import Drifting
from dvface.degradation.kernel_blur import KINDS, KernelBlur
from dvface.degradation.lens import Defocus, MotionBlur, SincBlur
from dvface.degradation.noise import GaussianNoise
from dvface.degradation.operator import Operator, Sometimes
from dvface.degradation.poisson import PoissonNoise
from dvface.degradation.random_resize import RandomResize
from dvface.degradation.recipe import Recipe
from dvface.degradation.resize import Downscale, ResizeBack

BLUR = GaussianBlur(9, [0.2, 4.0], 0.5)
NOISE = GaussianNoise([1, 20], 0.5, 0.5)
SHAPE = (5, 16, 16, 3)
DRIFTERS: dict[str, Operator] = {
    "blur": BLUR,
    "kernel": KernelBlur(
        [7, 15], dict.fromkeys(KINDS, 1 / 7), [0.2, 3.0], [0.5, 4.0], [1.0, 2.0], [1.0, 3.0], [0.6, 3.0]
    ),
    "motion": MotionBlur([0, 9]),
    "defocus": Defocus([0, 4]),
    "sinc": SincBlur([7, 9], [1.0, 3.0]),
    "noise": NOISE,
    "poisson": PoissonNoise([0, 3], 0.5, 0.5),
}


@pytest.fixture
def clip() -> np.ndarray:
    return np.random.default_rng(5).random(SHAPE, dtype=np.float32)


@given(seed=st.integers(0, 2**40))
@settings(deadline=None, max_examples=40)
def test_nested_operators_replay_from_json_bit_for_bit(seed: int):
    clip = np.random.default_rng(seed).random(SHAPE, dtype=np.float32)
    nested = OneOf(
        {
            "chain": Chain(
                {"noise": NOISE, "end": Shuffled({"blur": Sometimes(BLUR, 0.5), "poisson": PoissonNoise([0, 3], 0, 0)})}
            ),
            "drift": Drifting(DRIFTERS["kernel"]),
        },
        {"chain": 0.7, "drift": 0.3},
    )
    recipe = Recipe("nested", {"all": nested})
    degraded, record = recipe(clip, np.random.default_rng(seed))
    np.testing.assert_array_equal(degraded, recipe.replay(clip, json.loads(json.dumps(record, allow_nan=False))))


def test_a_chain_is_its_operators_one_after_another(clip: np.ndarray):
    chain = Chain({"blur": BLUR, "noise": NOISE})
    drawn = chain.draw(np.random.default_rng(1), SHAPE)
    blur, noise = (step["parameters"] for step in drawn["steps"])
    np.testing.assert_array_equal(chain.apply(clip, drawn), NOISE.apply(BLUR.apply(clip, blur), noise))
    rng = np.random.default_rng(1)
    assert [blur, noise] == [BLUR.draw(rng, SHAPE), NOISE.draw(rng, SHAPE)]


def test_shuffled_takes_every_order_equally_and_applies_it(clip: np.ndarray):
    shuffled = Shuffled({"blur": BLUR, "noise": NOISE, "lens": Defocus([2, 2])})
    rng = np.random.default_rng(0)
    draws = [shuffled.draw(rng, SHAPE) for _ in range(1800)]
    orders = ["-".join(step["operator"] for step in draw["steps"]) for draw in draws]
    assert len(set(orders)) == 6
    assert all(orders.count(order) / 1800 == pytest.approx(1 / 6, abs=0.04) for order in set(orders))
    forwards = draws[0]
    backwards = {"steps": forwards["steps"][::-1]}
    assert np.abs(shuffled.apply(clip, forwards) - shuffled.apply(clip, backwards)).max() > 1e-3


def test_one_of_takes_its_shares_and_applies_the_chosen_alone(clip: np.ndarray):
    one = OneOf({"blur": BLUR, "noise": NOISE}, {"noise": 0.8, "blur": 0.2})
    rng = np.random.default_rng(0)
    draws = [one.draw(rng, SHAPE) for _ in range(1000)]
    assert np.mean([draw["chosen"] == "noise" for draw in draws]) == pytest.approx(0.8, abs=0.04)
    for draw in draws[:5]:
        alone = {"blur": BLUR, "noise": NOISE}[draw["chosen"]]
        np.testing.assert_array_equal(one.apply(clip, draw), alone.apply(clip, draw["parameters"]))


def test_descriptions_are_readable_when_nested():
    noises = OneOf(
        {"one": GaussianNoise([1, 30], 0.4, 0), "two": PoissonNoise([0.05, 3], 0.4, 0)}, {"one": 0.5, "two": 0.5}
    )
    end = Shuffled(
        {"noise": noises, "rest": Chain({"drift": Drifting(Defocus([1, 4]), 0.3), "back": ResizeBack("area")})}
    )
    assert Recipe("mine", {"end": end}).describe() == (
        "mine: in random order [either Gaussian noise of σ 1–30/255 (40% grey, 0% the same in all frames) (50%) or "
        "Poisson noise times 0.05–3 (40% grey, 0% the same in all frames) (50%)] and [defocus by a disc of radius 1–4 "
        "px, drifting 30% of the way to another draw over the clip followed by area resizing back]."
    )


@pytest.mark.parametrize("name", DRIFTERS)
def test_drifting_moves_numbers_evenly_and_keeps_choices(name: str, clip: np.ndarray):
    operator = DRIFTERS[name]
    for seed in range(12):
        drifting = Drifting(operator, 0.6)
        drawn = json.loads(json.dumps(drifting.draw(np.random.default_rng(seed), SHAPE)))
        first, last = drawn["first"], drawn["last"]
        assert set(last) < set(first) or set(last) == set(first)
        assert not set(last) & {"kind", "family", "size", "kernel_size", "grey", "static", "seed"}
        degraded = drifting.apply(clip, drawn)
        np.testing.assert_array_equal(degraded[:1], operator.apply(clip[:1], first))
        if "seed" not in first:
            middle = {**first, **{key: (first[key] + last[key]) / 2 for key in last}}
            np.testing.assert_allclose(degraded[2:3], operator.apply(clip[2:3], middle), atol=1e-6)
            np.testing.assert_allclose(degraded[4:], operator.apply(clip[4:], {**first, **last}), atol=1e-6)


def test_a_share_of_the_way_is_that_share():
    for share in (0.0, 0.25, 1.0):
        drawn = Drifting(GaussianNoise([0, 100], 0, 0), share).draw(np.random.default_rng(3), SHAPE)
        whole = Drifting(GaussianNoise([0, 100], 0, 0)).draw(np.random.default_rng(3), SHAPE)
        start, end = whole["first"]["sigma"], whole["last"]["sigma"]
        assert drawn["last"]["sigma"] == pytest.approx(start + share * (end - start))


def test_a_round_kernel_stays_round_while_it_drifts():
    rng = np.random.default_rng(0)
    for _ in range(50):
        drawn = Drifting(BLUR).draw(rng, SHAPE)
        assert (drawn["first"]["sigma_x"] == drawn["first"]["sigma_y"]) == (
            drawn["last"]["sigma_x"] == drawn["last"]["sigma_y"]
        )


def test_detail_is_lost_frame_by_frame_as_a_blur_grows(clip: np.ndarray):
    still = np.repeat(clip[:1], 5, axis=0)
    first = {"kernel_size": 9, "sigma_x": 0.2, "sigma_y": 0.2, "angle": 0.0}
    degraded = Drifting(BLUR).apply(still, {"first": first, "last": {"sigma_x": 3.0, "sigma_y": 3.0, "angle": 0.0}})
    spread = [float(frame.std()) for frame in degraded]
    assert spread == sorted(spread, reverse=True)
    assert spread[-1] < 0.5 * spread[0]


@pytest.mark.parametrize("static", [False, True])
def test_drifting_noise_grows_and_moves_unless_static(static: bool):
    clip = np.full((5, 64, 64, 3), 0.5, np.float32)
    first = {"sigma": 2.0, "grey": False, "static": static, "seed": 2**53 - 2}
    added = Drifting(NOISE).apply(clip, {"first": first, "last": {"sigma": 10.0}}) - clip
    np.testing.assert_allclose(added.std((1, 2, 3)) * 255, [2, 4, 6, 8, 10], rtol=0.05)
    same = np.corrcoef(added[1].ravel(), added[2].ravel())[0, 1]
    assert same == pytest.approx(1 if static else 0, abs=0.05)


@pytest.mark.parametrize(
    "operator",
    [
        Downscale([1, 4], {"area": 1}),
        ResizeBack("area"),
        RandomResize([0.5, 1], {"down": 1}, {"area": 1}),
        H264([20, 30], "veryfast", 25),
        Sometimes(BLUR, 0.5),
        Chain({"blur": BLUR}),
        Drifting(BLUR),
    ],
)
def test_what_cannot_drift_is_refused(operator: Operator):
    with pytest.raises(ValueError, match=f"operator must be a blur or a noise, .* got {type(operator).__name__}$"):
        Drifting(operator)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Chain({}), "operators must have at least one"),
        (lambda: OneOf({"blur": BLUR}, {"noise": 1}), "probabilities must be of blur, got 'noise'"),
        (lambda: OneOf({"blur": BLUR, "noise": NOISE}, {"blur": 1}), "probabilities must have every operator, 'noise'"),
        (lambda: OneOf({"blur": BLUR}, {"blur": 0.5}), "sum to 1"),
        (lambda: Drifting(BLUR, 1.5), r"share must be in \[0, 1\]"),
    ],
)
def test_impossible_settings_are_refused_by_name(build, message: str):
    with pytest.raises(ValueError, match=message):
        build()
