"""Before and after: numbers known by hand, and a video whose halves are the two sides."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dvface.app.comparison import compare, shown_size
from dvface.data.footage import CARPHONE, read_packaged
from dvface.video.read import read_video
from dvface.video.write import EXACT, write_video


class Counted:
    def __init__(self) -> None:
        self.steps: list[tuple[str, int | None]] = []
        self.units = 0

    @contextmanager
    def __call__(self, title: str, total: int | None, start: int) -> Iterator["Counted"]:
        self.steps.append((title, total))
        yield self

    def advance(self, units: int = 1) -> None:
        self.units += units


def still(level: int, frames: int) -> np.ndarray:
    return np.full((frames, 48, 64, 3), level, np.uint8)


def flickering(frames: int) -> np.ndarray:
    """51 levels, a fifth of the range, up and down from frame to frame."""
    clip = still(100, frames)
    clip[1::2] += 51
    return clip


def written(path: Path, frames: np.ndarray) -> Path:
    write_video(path, frames, Fraction(25), **EXACT)
    return path


@pytest.mark.parametrize("frames", [2, 16, 17, 35])
def test_flicker_and_change_are_those_computed_by_hand(frames: int, tmp_path: Path) -> None:
    before = written(tmp_path / "before.mkv", flickering(frames))
    after = written(tmp_path / "after.mkv", still(100, frames))
    watch = Counted()
    found = compare(before, after, tmp_path / "pair.mp4", frames, Fraction(25), watch)
    flicker, naturalness, change = found.measures
    assert flicker.before == pytest.approx(20.0, abs=1e-4)
    assert flicker.after == 0
    assert change.before is None
    # every second frame differs by a fifth of the range
    assert change.after == pytest.approx(20.0 * (frames // 2) / frames, abs=1e-4)
    assert naturalness.before is None, "a flat picture has no texture to judge"
    assert (found.frames, watch.units) == (frames, frames)
    assert [total for _, total in watch.steps] == [frames]


def test_one_frame_has_no_flicker(tmp_path: Path) -> None:
    clip = written(tmp_path / "one.mkv", still(100, 1))
    found = compare(clip, clip, tmp_path / "pair.mp4", 1, Fraction(25), Counted())
    assert found.measures[0].before is None
    assert found.measures[2].after == 0


def test_texture_that_noise_destroyed_counts_as_less_natural(tmp_path: Path) -> None:
    face = np.repeat(np.repeat(read_packaged(CARPHONE)[:2], 2, axis=1), 2, axis=2)
    noise = np.random.default_rng(0).normal(0, 40, face.shape)
    before = written(tmp_path / "before.mkv", (face + noise).clip(0, 255).astype(np.uint8))
    after = written(tmp_path / "after.mkv", face)
    naturalness = compare(before, after, tmp_path / "pair.mp4", 2, Fraction(25), Counted()).measures[1]
    assert naturalness.before is not None
    assert naturalness.after is not None
    assert naturalness.after < naturalness.before


def test_the_players_video_holds_the_input_left_and_the_restored_right(tmp_path: Path) -> None:
    levels = np.array([40, 80, 120, 160], np.uint8)
    before = written(tmp_path / "before.mkv", still(0, 4) + levels[:, None, None, None])
    after = written(tmp_path / "after.mkv", still(50, 4) + levels[:, None, None, None])
    found = compare(before, after, tmp_path / "pair.mp4", 4, Fraction(25), Counted())
    shown = read_video(tmp_path / "pair.mp4").astype(int)
    assert shown.shape == (4, found.height, 2 * found.width, 3)
    middle = slice(4, -4)
    left, right = shown[:, middle, 4 : found.width - 4], shown[:, middle, found.width + 4 : -4]
    assert np.abs(left - levels[:, None, None, None]).max() <= 3
    assert np.abs(right - 50 - levels[:, None, None, None]).max() <= 3


def test_files_of_different_sizes_are_not_compared(tmp_path: Path) -> None:
    before = written(tmp_path / "before.mkv", still(9, 2))
    after = written(tmp_path / "after.mkv", still(9, 2)[:, :32])
    with pytest.raises(ValueError, match="differ in size"):
        compare(before, after, tmp_path / "pair.mp4", 2, Fraction(25), Counted())


@pytest.mark.parametrize(
    ("stored", "shown"),
    [((1920, 1080), (960, 540)), ((1080, 1920), (540, 960)), ((512, 512), (512, 512)), ((176, 144), (352, 288))],
)
def test_the_players_sides_are_even_of_the_same_shape_and_no_larger_than_needed(
    stored: tuple[int, int], shown: tuple[int, int]
) -> None:
    assert shown_size(*stored) == shown
    odd = shown_size(853, 481)
    assert odd[0] % 2 == odd[1] % 2 == 0
