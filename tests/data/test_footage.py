from pathlib import Path

import numpy as np
import pytest

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.data.footage import PORTRAIT, EmbeddedFootage, camera_move, read_picture
from dvface.data.shards import read_manifest
from dvface.seeding import derive_generator


@pytest.fixture
def footage(tmp_path: Path) -> EmbeddedFootage:
    return build(resolve(load("train", [f"runs={tmp_path}"]))["data"]["source"])


def test_held_out_frames_are_never_trained_on(footage: EmbeddedFootage, carphone: np.ndarray) -> None:
    entries = read_manifest(footage.prepare())
    starts = [int(entry["key"].split("-")[1]) for entry in entries if entry["source"] == "carphone"]
    last_trained = max(start + 17 for start in starts)
    *held_out, distorted = footage.held_out()
    assert last_trained <= 80 < 87
    assert len(held_out) == 5
    for pair, start in zip(held_out, (87, 93, 99, 105, 111), strict=True):
        assert np.abs(pair.clean.astype(int) - carphone[start : start + 9]).max() <= 3
        assert pair.degraded.shape == pair.clean.shape == (9, 144, 176, 3)
    assert np.array_equal(distorted.clean, carphone)
    assert distorted.measured_from == 87


def test_the_held_out_clip_is_degraded_and_the_twin_too(footage: EmbeddedFootage) -> None:
    for pair in footage.held_out():
        error = (pair.clean.astype(float) - pair.degraded) ** 2
        assert 15 < 10 * np.log10(255**2 / error.mean()) < 40


def test_preparing_twice_writes_once(footage: EmbeddedFootage) -> None:
    shards = sorted(footage.prepare().glob("*.tar"))
    before = [shard.stat().st_mtime_ns for shard in shards]
    assert [shard.stat().st_mtime_ns for shard in sorted(footage.prepare().glob("*.tar"))] == before


def test_other_settings_never_mix_with_these_shards(tmp_path: Path) -> None:
    folders = {
        build(resolve(load("train", [f"runs={tmp_path}", change]))["data"]["source"]).root
        for change in (
            "seed=0",
            "seed=1",
            "data.source.stride=16",
            "data.source.degradation.operators.h264.crf=[20,30]",
        )
    }
    assert len(folders) == 4


def test_what_a_run_trains_on_does_not_change_what_it_is_measured_on() -> None:
    trained_on = load("train", ["degradation=vfhq"])
    assert trained_on.degradation.name == "vfhq"
    assert trained_on.data == load("train").data


def test_the_camera_moves_smoothly_and_shows_the_picture() -> None:
    portrait = read_picture(PORTRAIT)
    clip = camera_move(portrait, 17, 144, 176, derive_generator(0, "test"))
    assert clip.shape == (17, 144, 176, 3)
    changes = np.abs(np.diff(clip.astype(int), axis=0)).mean(axis=(1, 2, 3))
    assert changes.max() < 4 * np.median(changes) + 2
    assert changes.max() > 0.2
    assert np.array_equal(clip, camera_move(portrait, 17, 144, 176, derive_generator(0, "test")))


def test_settings_that_would_mix_training_and_measuring_are_refused(tmp_path: Path) -> None:
    from dvface.errors import UserError

    with pytest.raises(UserError, match="held_out_from"):
        build(resolve(load("train", [f"runs={tmp_path}", "data.source.train_frames=100"]))["data"]["source"])
