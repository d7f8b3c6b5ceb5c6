"""Recipes as configured: what they draw is recorded, replayed and the same in any process."""

import hashlib
import json
import math
import multiprocessing
import re
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from hydra.utils import instantiate
from hypothesis import given, settings
from hypothesis import strategies as st
from omegaconf import DictConfig, OmegaConf

from dvface.config.compose import load
from dvface.degradation.compression import JPEG
from dvface.degradation.mixture import Mixture
from dvface.degradation.operator import Sometimes
from dvface.degradation.recipe import Recipe
from dvface.errors import UserError
from dvface.seeding import derive_generator

FOLDER = Path(__file__).parents[2] / "conf" / "degradation"
NAMES = sorted(path.stem for path in FOLDER.glob("*.yaml"))
PUBLISHED = ("bfvr_stc", "codeformer_mild", "codeformer_severe", "dove", "dp_tempcoh", "fos_syn", "realesrgan", "vfhq")
KERNELS = {
    "size": (7, 21),
    "sigma_x": (0.2, 3.0),
    "sigma_y": (0.2, 3.0),
    "beta": (0.5, 4.0),
    "omega": (0.6283, 3.1416),
    "angle": (0, math.pi),
}
TWO_STAGES = {
    **{f"blur.{key}": ends for key, ends in KERNELS.items()},
    **{f"blur_again.{key}": ends for key, ends in KERNELS.items()},
    "blur_again.sigma_x": (0.2, 1.5),
    "blur_again.sigma_y": (0.2, 1.5),
    "resize.scale": (0.15, 1.5),
    "resize_again.scale": (0.3, 1.2),
    "noise.gaussian.sigma": (1, 30),
    "noise.poisson.scale": (0.05, 3.0),
    "noise_again.gaussian.sigma": (1, 25),
    "noise_again.poisson.scale": (0.05, 2.5),
    "jpeg.quality": (30, 95),
    "end.target.resize.scale": (1, 1),
    "end.target.sinc.size": (7, 21),
    "end.target.sinc.omega": (1.0472, 3.1416),
}
BITS = {
    f"{step}.{codec}.bits_per_frame": (10000, 100000)
    for step in ("codec", "end.codec")
    for codec in ("x264", "h264", "mpeg4")
}


def still(sigma: tuple, scale: tuple, noise: tuple, quality: tuple) -> dict[str, tuple]:
    return {
        "blur.kernel_size": (41, 41),
        "blur.sigma_x": sigma,
        "blur.sigma_y": sigma,
        "downscale.scale": scale,
        "noise.sigma": noise,
        "jpeg.quality": quality,
    }


STATED = {
    "bfvr_stc": {
        "blur.kernel_size": (11, 11),
        "blur.sigma_x": (2, 5),
        "blur.angle": (0, 0),
        "downscale.scale": (2, 4),
        "noise.sigma": (0, 5),
        "codec.bits_per_frame": (200000, 200000),
    },
    "codeformer_mild": still((0.1, 10), (1, 12), (0, 15), (60, 100)),
    "codeformer_severe": still((1, 15), (4, 30), (0, 20), (30, 80)),
    "dove": {**TWO_STAGES, **BITS, "jpeg_again.quality": (30, 95)},
    "dp_tempcoh": still((1, 15), (4, 30), (0, 20), (30, 80)),
    "fos_syn": still((0.1, 10), (0.8, 8), (0, 20), (60, 100)),
    "realesrgan": {**TWO_STAGES, "end.jpeg.quality": (30, 95)},
    "vfhq": {
        "blur.sigma_x": (0.1, 10),
        "blur.sigma_y": (0.1, 10),
        "downscale.scale": (4, 4),
        "noise.sigma": (0, 10),
        "h264.crf": (18, 25),
    },
}
"""The ranges that the systems state, written down a second time."""


@cache
def configured(name: str) -> DictConfig:
    return load("degrade", [f"degradation={name}"]).degradation


def build(name: str, overrides: tuple[str, ...] = ()) -> Recipe | Mixture:
    return instantiate(OmegaConf.merge(configured(name), OmegaConf.from_dotlist(list(overrides))))


def random_clip(frames: int = 3, height: int = 37, width: int = 50) -> np.ndarray:
    return np.random.default_rng(5).random((frames, height, width, 3), dtype=np.float32)


def digest_of(name: str, key: str) -> str:
    degraded, record = build(name)(random_clip(), derive_generator(7, key))
    return hashlib.sha256(degraded.tobytes() + json.dumps(record).encode()).hexdigest()


def drawn_numbers(record: dict) -> dict[str, float]:
    """Every number of a record by the names of its operators, without the words of the record's own."""
    found: dict[str, float] = {}

    def walk(node: dict, path: str) -> None:
        for step in node.get("steps", []):
            walk(step["parameters"], f"{path}{step['operator']}.")
        if "parameters" in node:
            walk(node["parameters"], f"{path}{node['chosen']}." if "chosen" in node else path)
        found.update({path + key: value for key, value in node.items() if type(value) in (int, float)})

    walk(record, "")
    return found


def without_encoder(node):
    if isinstance(node, dict):
        return {key: without_encoder(value) for key, value in node.items() if key != "encoder"}
    return [without_encoder(value) for value in node] if isinstance(node, list) else node


def leaves(node) -> list:
    if isinstance(node, dict):
        return [leaf for value in node.values() for leaf in leaves(value)]
    return [leaf for value in node for leaf in leaves(value)] if isinstance(node, list) else [node]


def test_the_promised_recipes_are_there():
    assert {"none", "light", *PUBLISHED} <= set(NAMES)
    assert set(STATED) == set(PUBLISHED)


@pytest.mark.parametrize(
    ("name", "digest"),
    [
        ("light", "86257f9fee50d127e7206ebc40bc81e086c2bd053e42cbf89eb5927417573046"),
        ("vfhq", "f1978d8dce6714a429db83f04e19cf2bf42ee6c4a6e9a133c8f9bd5c81cb4296"),
    ],
)
def test_the_first_recipes_draw_what_they_always_drew(name: str, digest: str):
    # Recorded before other recipes came; trained runs depend on these draws.
    recipe = build(name)
    records = [recipe(random_clip(), derive_generator(7, f"clip{number}"))[1] for number in range(20)]
    text = json.dumps(without_encoder(records), sort_keys=True)
    assert hashlib.sha256(text.encode()).hexdigest() == digest


def test_vfhq_up_to_its_codec_is_what_plain_opencv_and_numpy_make_of_its_record():
    recipe, clip = build("vfhq"), random_clip()
    for number in range(20):
        _, record = recipe(clip, derive_generator(7, f"clip{number}"))
        blur, downscale, noise = (step["parameters"] for step in record["steps"][:3])
        interpolation = {"area": cv2.INTER_AREA, "bilinear": cv2.INTER_LINEAR, "bicubic": cv2.INTER_CUBIC}
        y, x = np.mgrid[-10:11, -10:11]
        turn = np.exp(1j * blur["angle"])
        along, across = x * turn.real + y * turn.imag, y * turn.real - x * turn.imag
        kernel = np.exp(-((along / blur["sigma_x"]) ** 2 + (across / blur["sigma_y"]) ** 2) / 2)
        shape = (3, 9, 12, 1 if noise["grey"] else 3)
        added = np.random.default_rng(noise["seed"]).standard_normal(shape, np.float32) * (noise["sigma"] / 255)
        expected = [
            cv2.resize(
                cv2.filter2D(frame.astype(float), -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT_101),
                (12, 9),
                interpolation=interpolation[downscale["interpolation"]],
            )
            for frame in clip
        ] + added
        steps = {"recipe": "vfhq", "steps": record["steps"][:3]}
        np.testing.assert_allclose(recipe.replay(clip, steps), np.clip(expected, 0, 1), atol=2e-6)


@pytest.mark.parametrize("name", PUBLISHED)
def test_recipes_draw_over_the_whole_of_their_stated_ranges(name: str):
    recipe = build(name)
    rng = np.random.default_rng(0)
    draws: dict[str, list[float]] = {}
    for _ in range(300):
        steps = [
            {"operator": key, "parameters": operator.draw(rng, (5, 512, 512, 3))}
            for key, operator in recipe.operators.items()
        ]
        for key, value in drawn_numbers({"steps": steps}).items():
            draws.setdefault(key, []).append(value)
    for key, (low, high) in STATED[name].items():
        # Rare kinds come 30 times in 300; that few leave more of a range's ends empty.
        margin = (high - low) * max(0.05, 6 / len(draws[key]))
        assert low <= min(draws[key]) <= low + margin, key
        assert high - margin <= max(draws[key]) <= high, key


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_description_is_one_line_with_every_number_of_the_file(name: str):
    text = build(name).describe()
    assert text.startswith(f"{name}: ")
    assert text.endswith(".")
    assert "\n" not in text
    numbers = set(re.findall(r"\d+(?:\.\d+)?(?:e\+\d+)?", text))
    tree = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"), resolve=True)
    for value in leaves(tree):
        if type(value) in (int, float):
            assert {f"{value:g}", str(value), f"{100 * value:.3g}"} & numbers, value


def test_still_image_recipes_treat_all_frames_alike():
    clip = np.repeat(random_clip(1, 64, 64), 3, axis=0)
    recipe = build("codeformer_severe", ("operators.noise.sigma=[0,0]",))
    degraded, _ = recipe(clip, np.random.default_rng(0))
    np.testing.assert_array_equal(degraded[0], degraded[2])
    assert np.abs(degraded - clip).mean() > 0.1


@pytest.mark.parametrize("name", ["dove", "realesrgan"])
def test_the_last_steps_come_in_both_orders_at_a_quarter_of_the_size(name: str):
    recipe = build(name)
    rng = np.random.default_rng(0)
    ends = [recipe.operators["end"].draw(rng, (5, 320, 640, 3))["steps"] for _ in range(200)]
    assert np.mean([end[0]["operator"] == "target" for end in ends]) == pytest.approx(0.5, abs=0.1)
    target = next(step["parameters"] for step in ends[0] if step["operator"] == "target")
    assert recipe.operators["end"].operators["target"].apply(random_clip(), target).shape == (3, 80, 160, 3)


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
