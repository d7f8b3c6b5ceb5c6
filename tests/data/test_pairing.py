"""Pairs drawn once while streaming are those that `dvface degrade` stores."""

from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import DegradeSettings, validated
from dvface.data.pairing import DrawnOnce, FreshCrops, Pairs, Stored, Window
from dvface.data.remote import ShardCache
from dvface.data.sets import read_set
from dvface.data.shards import CLEAN, read_samples, shard_paths
from dvface.data.stream import ClipStream, LoadedBatch, Standing, collate
from dvface.data_prep.degrade import degrade
from dvface.errors import UserError
from dvface.seeding import derive_generator
from dvface.video.decode import open_clip

SEED = 5


@pytest.fixture(scope="module")
def recipe():
    return build(resolve(load("train"))["degradation"])


@pytest.fixture(scope="module")
def stored(small_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("stored") / "pairs"
    words = [
        f"input={small_shards}",
        f"output={folder}",
        "degradation=light",
        f"seed={SEED}",
        "format=shards",
        "jobs=1",
    ]
    degrade(validated(DegradeSettings, resolve(load("degrade", words))), lambda line: None)
    return folder


def batches(shards: Path, recipe, pairs: Pairs, workers: int, count: int, skip: int = 0) -> list[LoadedBatch]:
    standing = Standing()
    if skip:
        seen = batches(shards, recipe, pairs, workers, skip)
        standing = Standing(skip, {batch.note.worker: batch.note.places for batch in seen})
    sets = [read_set(str(shards), pairs)]
    stream = ClipStream(sets, ShardCache("", 1), recipe, 5, 32, 0, 2, 2, 7, 0.0, workers=workers, standing=standing)
    return list(islice(DataLoader(stream, batch_size=2, num_workers=workers, collate_fn=collate), count))


def equal(one: LoadedBatch, other: LoadedBatch) -> bool:
    return one.keys == other.keys and torch.equal(one.clean, other.clean) and torch.equal(one.degraded, other.degraded)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_same_seed_gives_the_same_pairs_online_and_stored(
    small_shards: Path, stored: Path, recipe, workers: int
) -> None:
    online = batches(small_shards, recipe, DrawnOnce(SEED), workers, 10)
    paired = batches(stored, recipe, Stored(), workers, 10)
    assert {key.split("@")[1] for batch in online for key in batch.keys} == {"0", "1", "2", "3"} or workers
    assert all(equal(one, other) for one, other in zip(online, paired, strict=True))
    assert not any(torch.equal(batch.clean, batch.degraded) for batch in online)
    other_seed = batches(small_shards, recipe, DrawnOnce(SEED + 1), workers, 2)
    assert not any(torch.equal(one.degraded, other.degraded) for one, other in zip(online, other_seed, strict=False))


@pytest.mark.parametrize("workers", [0, 2])
def test_both_resume_exactly(small_shards: Path, stored: Path, recipe, workers: int) -> None:
    whole = batches(stored, recipe, Stored(), workers, 7)
    for shards, pairs in ((small_shards, DrawnOnce(SEED)), (stored, Stored())):
        resumed = batches(shards, recipe, pairs, workers, 4, skip=3)
        assert all(equal(one, other) for one, other in zip(whole[3:], resumed, strict=True))


def test_all_ways_cut_the_same_window(small_shards: Path, stored: Path, recipe) -> None:
    samples = zip(read_samples(shard_paths(small_shards)), read_samples(shard_paths(stored)), strict=True)
    for clean, pair in samples:
        sides = [
            pairs(pair, recipe, Window(5, 32, 0), derive_generator(3, pair["__key__"]))[0]
            for pairs in (FreshCrops(), DrawnOnce(SEED), Stored())
        ]
        as_floats = [side if side.dtype == np.float32 else side.astype(np.float32) / 255 for side in sides]
        assert all(np.array_equal(as_floats[0], side) for side in as_floats)
        frames = (open_clip(sample[CLEAN]).read(0, 9) for sample in (clean, pair))
        assert np.array_equal(*frames)


def test_a_data_set_without_degraded_sides_is_refused(small_shards: Path, stored: Path, recipe) -> None:
    words = ["data=paired", f"data.source.held_out={stored}"]
    source = build(resolve(load("train", [*words, f"data.source.train={small_shards}"]))["data"]["source"])
    with pytest.raises(UserError, match=r"clip-0 has no stored degraded side; .* say data=online"):
        source.training()
    whole = build(resolve(load("train", [*words, f"data.source.train={stored}"]))["data"]["source"])
    (found,) = whole.training()
    assert found.address == str(stored)
    with pytest.raises(UserError, match=r"clip clip-0 cannot be used: it has no degraded\.mp4"):
        ClipStream([found], ShardCache("", 1), recipe, 5, 32, 0, 2, 0, 7, 0.0).pair(
            next(read_samples(shard_paths(small_shards))), 0
        )


def test_the_run_s_seed_decides_the_online_pairs() -> None:
    settings = resolve(load("train", ["data=online", "data.source.train=a", "data.source.held_out=b", "seed=9"]))
    assert build(settings["data"]["source"]).pairs.seed == 9


@pytest.mark.parametrize("pairs", [FreshCrops(), DrawnOnce(SEED), Stored()])
def test_a_clip_that_is_too_short_is_refused(stored: Path, recipe, pairs: Pairs) -> None:
    sample = next(read_samples(shard_paths(stored)))
    with pytest.raises(ValueError, match="wanted 10 frames"):
        pairs(sample, recipe, Window(10, 32, 0), derive_generator(0))


def test_videos_are_no_shards(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text('{"key": "a", "clean": "clean/a.mp4", "degraded": "degraded/a.mp4"}\n')
    with pytest.raises(UserError, match=r"data set of videos and shards are asked; .* format=shards"):
        shard_paths(tmp_path)
