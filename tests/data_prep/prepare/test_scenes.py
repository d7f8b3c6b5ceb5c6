"""Cuts between real scenes are found at their frame; one shot stays one scene."""

from collections.abc import Iterable

import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.config.build import build
from dvface.config.compose import folder
from dvface.data.footage import PORTRAIT, camera_move
from dvface.data_prep.prepare.frames import RawFrame, SceneDetector
from dvface.data_prep.prepare.scenes import AdaptiveScenes, ContentScenes, WholeVideo
from dvface.seeding import derive_generator
from dvface.video.read import read_picture


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(30, 144, 176, 3): another person, before another ground, seen by a moving camera."""
    return camera_move(read_picture(PORTRAIT.locate()), 30, 144, 176, derive_generator(0))


def adaptive() -> AdaptiveScenes:
    return AdaptiveScenes(4.0, 10.0, 2)


def raw(*scenes: np.ndarray) -> list[RawFrame]:
    frames = [pixels for scene in scenes for pixels in scene]
    return [RawFrame(n, n / 25, pixels, n > 0) for n, pixels in enumerate(frames)]


def first_frames(detector: SceneDetector, frames: Iterable[RawFrame]) -> list[int]:
    return [frame.index for frame in detector.split(frames) if not frame.continues]


@pytest.mark.parametrize("name", ["adaptive", "content"])
def test_cuts_are_found_at_their_frames(name: str, carphone: np.ndarray, portrait: np.ndarray) -> None:
    detector = build(load(name))
    frames = raw(carphone[:20], portrait[:12], carphone[50:70], portrait[12:30])
    assert first_frames(detector, frames) == [0, 20, 32, 52]


def load(name: str) -> dict:
    return yaml.safe_load((folder() / "scenes" / f"{name}.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", ["adaptive", "content", "none"])
def test_one_shot_is_one_scene(name: str, carphone: np.ndarray, portrait: np.ndarray) -> None:
    detector = build(load(name))
    assert first_frames(detector, raw(carphone)) == [0]
    assert first_frames(detector, raw(portrait)) == [0]


@pytest.mark.parametrize("at", [1, 2, 3, 10, 17, 18, 19])
def test_cuts_near_the_ends_are_found(at: int, carphone: np.ndarray, portrait: np.ndarray) -> None:
    frames = raw(carphone[:at], portrait[: 20 - at])
    assert first_frames(adaptive(), frames) == [0, at]


def test_scenes_of_three_frames_are_found(carphone: np.ndarray, portrait: np.ndarray) -> None:
    frames = raw(carphone[:9], portrait[:3], carphone[60:69])
    assert first_frames(adaptive(), frames) == [0, 9, 12]


def test_breaks_stay_and_what_lies_on_either_side_is_not_compared(carphone: np.ndarray, portrait: np.ndarray) -> None:
    frames = raw(carphone[:10], portrait[:10])
    frames[10] = frames[10].cut()
    assert first_frames(adaptive(), frames) == [0, 10]
    assert first_frames(ContentScenes(0.5), raw(np.repeat(carphone[:1], 5, 0), np.repeat(portrait[:1], 5, 0))) == [0, 5]


def test_a_change_of_size_is_no_error(carphone: np.ndarray) -> None:
    frames = raw(carphone[:6], carphone[6:12, ::2, ::2])
    assert [frame.pixels.shape[0] for frame in adaptive().split(frames)] == [144] * 6 + [72] * 6


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 9), max_size=4), st.sampled_from([adaptive(), ContentScenes(24.0), WholeVideo()]))
def test_every_frame_comes_out_once_in_order_and_no_break_is_lost(lengths: list[int], detector: SceneDetector) -> None:
    rng = np.random.default_rng(sum(lengths))
    frames = raw(*(rng.integers(0, 256, (length, 8, 8, 3)).astype(np.uint8) for length in lengths))
    breaks = {sum(lengths[:n]) for n in range(len(lengths))}
    frames = [frame.cut() if frame.index in breaks else frame for frame in frames]
    out = list(detector.split(frames))
    assert [frame.index for frame in out] == list(range(sum(lengths)))
    assert breaks <= {frame.index for frame in out if not frame.continues}


def test_it_holds_few_frames_back(carphone: np.ndarray) -> None:
    taken = 0

    def count() -> Iterable[RawFrame]:
        nonlocal taken
        for frame in raw(carphone):
            taken += 1
            yield frame

    out = adaptive().split(count())
    for given_out in range(1, 100):
        next(iter(out))
        assert taken - given_out <= 3
