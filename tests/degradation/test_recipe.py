"""Recipes as configured: what they draw is recorded, replayed and the same in any process."""

import hashlib
import json
import multiprocessing
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dvface.degradation.compression import JPEG
from dvface.degradation.operator import Sometimes
from dvface.degradation.recipe import Recipe
from dvface.errors import UserError
from dvface.seeding import derive_generator

FOLDER = Path(__file__).parents[2] / "conf" / "degradation"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))


def build(name: str, overrides: tuple[str, ...] = ()) -> Recipe:
    return instantiate(
        OmegaConf.merge(OmegaConf.load(FOLDER / f"{name}.yaml"), OmegaConf.from_dotlist(list(overrides)))
    )


def random_clip(frames: int = 3, height: int = 37, width: int = 50) -> np.ndarray:
    return np.random.default_rng(5).random((frames, height, width, 3), dtype=np.float32)


def digest_of(name: str, key: str) -> str:
    degraded, record = build(name)(random_clip(), derive_generator(7, key))
    return hashlib.sha256(degraded.tobytes() + json.dumps(record).encode()).hexdigest()


def test_the_three_recipes_are_there():
    assert {"none", "light", "vfhq"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**60))
def test_every_configured_recipe_replays_bit_for_bit(name: str, seed: int):
    recipe, clip = build(name), random_clip()
    degraded, record = recipe(clip, np.random.default_rng(seed))
    np.testing.assert_array_equal(degraded, recipe.replay(clip, json.loads(json.dumps(record))))
    assert degraded.shape == clip.shape
    assert degraded.dtype == np.float32
    assert 0 <= degraded.min() <= degraded.max() <= 1


def test_a_key_gives_the_same_pixels_in_a_fresh_process():
    calls = [("light", f"clip{number}") for number in range(4)] + [("vfhq", "clip0")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        there = pool.starmap(digest_of, calls)
    here = [digest_of(*call) for call in calls]
    assert here == there
    assert len(set(here)) == len(here)


def test_none_is_exactly_the_identity():
    degraded, record = build("none")(random_clip(), np.random.default_rng(0))
    np.testing.assert_array_equal(degraded, random_clip())
    assert record == {"recipe": "none", "steps": []}


def test_steps_run_in_the_order_of_the_configuration():
    _, record = build("vfhq")(random_clip(), np.random.default_rng(0))
    assert [step["operator"] for step in record["steps"]] == [
        "blur",
        "downscale",
        "noise",
        "h264",
        "resize_back",
    ]


def test_one_number_can_be_overridden_by_name():
    recipe = build("light", ("operators.blur.operator.sigma=[0.5,0.5]", "operators.blur.probability=1"))
    _, record = recipe(random_clip(), np.random.default_rng(0))
    assert record["steps"][0]["parameters"]["parameters"]["sigma_x"] == 0.5


def test_a_record_replays_under_changed_settings():
    clip = random_clip()
    degraded, record = build("vfhq")(clip, np.random.default_rng(3))
    changed = build("vfhq", ("operators.blur.kernel_size=5", "operators.h264.preset=ultrafast"))
    np.testing.assert_array_equal(changed.replay(clip, record), degraded)


def test_records_that_do_not_fit_are_refused_in_a_sentence():
    clip = random_clip()
    jpeg = Recipe("mine", {"jpeg": JPEG([50, 50])})
    _, record = jpeg(clip, np.random.default_rng(0))
    with pytest.raises(UserError, match="of recipe 'mine', not of 'other'"):
        Recipe("other", {"jpeg": JPEG([50, 50])}).replay(clip, record)
    with pytest.raises(UserError, match="operator 'jpeg', which recipe 'mine' lacks; did you mean 'jpeg2'"):
        Recipe("mine", {"jpeg2": JPEG([50, 50])}).replay(clip, record)
    with pytest.raises(UserError, match="operator 'jpeg' has no parameter 'applied'"):
        Recipe("mine", {"jpeg": Sometimes(JPEG([50, 50]), 1)}).replay(clip, record)


def test_descriptions_carry_the_numbers():
    assert build("none").describe() == "none: leaves the clip as it is."
    text = build("vfhq").describe()
    for number in ("0.1–10 px", "by 4 (area 20%", "0–10/255", "CRF 18–25"):
        assert number in text
    assert "(60% of clips)" in build("light").describe()
