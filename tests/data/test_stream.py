from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.data.datamodule import check_clips
from dvface.data.pairing import FreshCrops
from dvface.data.shards import CLEAN, read_samples, shard_paths
from dvface.data.stream import ClipStream, Pair, collate, to_tensor
from dvface.errors import UserError


@pytest.fixture(scope="module")
def recipe():
    return build(resolve(load("train"))["degradation"])


def stream(shards: Path, recipe, **changes) -> ClipStream:
    settings = {"frames": 5, "crop": 32, "context": 8, "batch_size": 2, "buffer": 2, "seed": 7} | changes
    return ClipStream(shard_paths(shards), recipe, **({"pairs": FreshCrops()} | settings))


def first(data: ClipStream, count: int) -> list[Pair]:
    return list(islice(data, count))


def same(one: list[Pair], other: list[Pair]) -> bool:
    return all(
        a.key == b.key and torch.equal(a.clean, b.clean) and torch.equal(a.degraded, b.degraded)
        for a, b in zip(one, other, strict=True)
    )


def test_pairs_have_the_contract_s_shape_and_range(small_shards: Path, recipe) -> None:
    for pair in first(stream(small_shards, recipe), 4):
        for side in (pair.clean, pair.degraded):
            assert side.shape == (3, 5, 32, 32)
            assert side.dtype == torch.float32
            assert -1 <= side.min() < side.max() <= 1


def test_an_epoch_sees_every_clip_once_and_the_next_in_another_order(small_shards: Path, recipe) -> None:
    keys = [pair.key for pair in first(stream(small_shards, recipe), 18)]
    epochs = [keys[start : start + 6] for start in (0, 6, 12)]
    for number, epoch in enumerate(epochs):
        assert sorted(epoch) == [f"clip-{n}@{number}" for n in range(6)]
    orders = {tuple(key.split("@")[0] for key in epoch) for epoch in epochs}
    assert len(orders) > 1


def test_the_same_seed_gives_the_same_pixels_and_another_does_not(small_shards: Path, recipe) -> None:
    one = first(stream(small_shards, recipe), 6)
    assert same(one, first(stream(small_shards, recipe), 6))
    assert not all(
        torch.equal(a.clean, b.clean) for a, b in zip(one, first(stream(small_shards, recipe, seed=8), 6), strict=True)
    )


def test_any_sample_can_be_rebuilt_alone(small_shards: Path, recipe) -> None:
    data = stream(small_shards, recipe)
    wanted = first(data, 9)[-1]
    key, epoch = wanted.key.split("@")
    (sample,) = (sample for sample in read_samples(shard_paths(small_shards)) if sample["__key__"] == key)
    assert same([data.pair(sample, int(epoch))], [wanted])


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("skip", [1, 2, 5])
def test_a_resumed_loader_goes_on_where_it_was(small_shards: Path, recipe, workers: int, skip: int) -> None:
    def batches(skipped: int, count: int) -> list[tuple[tuple[str, ...], torch.Tensor]]:
        data = stream(small_shards, recipe, workers=workers, skip_batches=skipped)
        loader = DataLoader(data, batch_size=2, num_workers=workers, collate_fn=collate)
        return [(batch.keys, batch.degraded) for batch in islice(loader, count)]

    uninterrupted = batches(0, 8)[skip:]
    for (keys, pixels), (resumed_keys, resumed_pixels) in zip(uninterrupted, batches(skip, 8 - skip), strict=True):
        assert keys == resumed_keys
        assert torch.equal(pixels, resumed_pixels)


def test_ranks_and_workers_share_an_epoch_without_overlap(small_shards: Path, recipe) -> None:
    parts = [
        {pair.key for pair in first(stream(small_shards, recipe, rank=rank, world_size=3), 2)} for rank in range(3)
    ]
    assert set().union(*parts) == {f"clip-{n}@0" for n in range(6)}
    assert sum(map(len, parts)) == 6


def test_fewer_shards_than_readers_are_refused_with_the_remedy(small_shards: Path, recipe) -> None:
    with pytest.raises(UserError, match=r"at least 4 shards or lower data\.workers"):
        stream(small_shards, recipe, world_size=2, workers=2)


@pytest.mark.parametrize(("changes", "words"), [({"frames": 13}, "13"), ({"crop": 64}, "64×48, a crop of 64")])
def test_clips_that_are_too_small_are_refused_by_name(small_shards: Path, recipe, changes, words: str) -> None:
    with pytest.raises(UserError, match=words):
        first(stream(small_shards, recipe, **changes), 1)


def test_pixels_map_to_the_contract_s_range() -> None:
    frames = np.array([0, 255], np.uint8).reshape(1, 1, 2, 1).repeat(3, axis=3)
    assert to_tensor(frames)[0].flatten().tolist() == [-1.0, 1.0]


def test_context_changes_what_the_recipe_sees_and_not_the_crop(small_shards: Path, recipe) -> None:
    with_context, alone = (first(stream(small_shards, recipe, context=size), 6) for size in (8, 0))
    assert all(torch.equal(one.clean, other.clean) for one, other in zip(with_context, alone, strict=True))
    assert not any(torch.equal(one.degraded, other.degraded) for one, other in zip(with_context, alone, strict=True))


def test_a_damaged_clip_is_named(small_shards: Path, recipe) -> None:
    with pytest.raises(UserError, match="clip-x cannot be used"):
        stream(small_shards, recipe).pair({"__key__": "clip-x", CLEAN: b"no video"}, 0)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"frames": 13}, "9 frames, 13 are asked"),
        ({"crop": 64}, "64×48, a crop of 64"),
        ({"workers": 4}, "3 shards"),
        ({"processes": 4}, "3 shards"),
    ],
)
def test_training_clips_are_checked_by_the_manifest_before_any_work(small_shards: Path, changes, words: str) -> None:
    settings = {"frames": 5, "crop": 32, "processes": 1, "workers": 1}
    check_clips(small_shards, **settings)
    with pytest.raises(UserError, match=words):
        check_clips(small_shards, **(settings | changes))
