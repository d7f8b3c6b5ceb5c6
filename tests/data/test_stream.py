import shutil
from itertools import islice, takewhile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.data.order import Mixture, Order, Reader
from dvface.data.pairing import FreshCrops, Stored
from dvface.data.remote import ShardCache
from dvface.data.sets import TrainingSet, check_sets, read_set
from dvface.data.shards import CLEAN, read_samples, shard_paths, write_tar
from dvface.data.stream import ClipStream, LoadedBatch, Pair, Standing, collate, to_range
from dvface.errors import UserError


@pytest.fixture(scope="module")
def recipe():
    return build(resolve(load("train"))["degradation"])


def stream(shards: Path, recipe, **changes) -> ClipStream:
    return mixture([read_set(str(shards), FreshCrops())], recipe, **changes)


def mixture(sets: list[TrainingSet], recipe, **changes) -> ClipStream:
    settings = {"frames": 5, "crop": 32, "context": 8, "batch_size": 2, "buffer": 2, "seed": 7, "tolerate": 0.0}
    return ClipStream(sets, ShardCache("", 1), recipe, **(settings | changes))


def first(data: ClipStream, count: int) -> list[Pair]:
    return list(islice(data, count))


def same(one: list[Pair], other: list[Pair]) -> bool:
    return all(
        a.key == b.key and np.array_equal(a.clean, b.clean) and np.array_equal(a.degraded, b.degraded)
        for a, b in zip(one, other, strict=True)
    )


def test_pairs_have_the_contract_s_shape_and_range(small_shards: Path, recipe) -> None:
    for batch in loaded(stream(small_shards, recipe), 0, 2):
        for side in (batch.finished().clean, batch.finished().degraded):
            assert side.shape == (2, 3, 5, 32, 32)
            assert side.dtype == torch.float32
            assert side.is_contiguous()
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
        np.array_equal(a.clean, b.clean)
        for a, b in zip(one, first(stream(small_shards, recipe, seed=8), 6), strict=True)
    )


def test_any_sample_can_be_rebuilt_alone(small_shards: Path, recipe) -> None:
    data = stream(small_shards, recipe)
    wanted = first(data, 9)[-1]
    key, epoch = wanted.key.split("@")
    (sample,) = (sample for sample in read_samples(shard_paths(small_shards)) if sample["__key__"] == key)
    assert same([data.pair(sample, int(epoch))], [wanted])


def loaded(data: ClipStream, workers: int, count: int, start_method: str = "fork") -> list[LoadedBatch]:
    loader = DataLoader(
        data,
        batch_size=2,
        num_workers=workers,
        collate_fn=collate,
        multiprocessing_context=start_method if workers else None,
    )
    return list(islice(loader, count))


def behind(batches: list[LoadedBatch]) -> Standing:
    """Where a stream stands behind these batches."""
    return Standing(len(batches), {batch.note.worker: batch.note.places for batch in batches})


def equal(one: list[LoadedBatch], other: list[LoadedBatch]) -> bool:
    return all(
        a.keys == b.keys and a.note == b.note and torch.equal(a.clean, b.clean) and torch.equal(a.degraded, b.degraded)
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("skip", [1, 2, 5])
def test_a_resumed_loader_goes_on_where_it_was(small_shards: Path, recipe, workers: int, skip: int) -> None:
    whole = loaded(stream(small_shards, recipe, workers=workers), workers, 8)
    resumed = stream(small_shards, recipe, workers=workers, standing=behind(whole[:skip]))
    assert equal(loaded(resumed, workers, 8 - skip), whole[skip:])


def test_workers_that_are_spawned_give_what_forked_ones_give(small_shards: Path, recipe) -> None:
    of_rank = {"workers": 1, "rank": 1, "world_size": 2}
    forked, spawned = (loaded(stream(small_shards, recipe, **of_rank), 1, 2, method) for method in ("fork", "spawn"))
    assert equal(forked, spawned)


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
    assert to_range(torch.from_numpy(frames)[None])[0, 0].flatten().tolist() == [-1.0, 1.0]
    as_floats = torch.from_numpy(frames.astype(np.float32) / 255)[None]
    assert torch.equal(to_range(torch.from_numpy(frames)[None]), to_range(as_floats))


def test_context_changes_what_the_recipe_sees_and_not_the_crop(small_shards: Path, recipe) -> None:
    with_context, alone = (first(stream(small_shards, recipe, context=size), 6) for size in (8, 0))
    assert all(np.array_equal(one.clean, other.clean) for one, other in zip(with_context, alone, strict=True))
    assert not any(np.array_equal(one.degraded, other.degraded) for one, other in zip(with_context, alone, strict=True))


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
    sets = [read_set(str(small_shards), FreshCrops())]
    check_sets(sets, **settings)
    with pytest.raises(UserError, match=words):
        check_sets(sets, **(settings | changes))


class TestMixture:
    @pytest.fixture
    def sets(self, small_shards: Path, paired_shards: Path) -> list[TrainingSet]:
        return [
            read_set(str(small_shards), FreshCrops(), "videos", weight=3.0),
            read_set(str(paired_shards), Stored(), "stills", weight=1.0, frames=1),
        ]

    def test_every_batch_is_of_one_set_and_stills_have_one_frame(self, sets: list[TrainingSet], recipe) -> None:
        batches = loaded(mixture(sets, recipe, workers=0), 0, 24)
        lengths = [batch.clean.shape[1] for batch in batches]
        assert set(lengths) == {1, 5}
        # Stored sides are half as bright, so stills can be told from videos by their pixels too.
        still = batches[lengths.index(1)].finished()
        assert torch.allclose((still.degraded + 1) * 255 // 2, (still.clean + 1) * 255 // 4, atol=3)

    def test_sets_come_by_weight_and_in_the_same_order_on_every_rank(self, sets: list[TrainingSet]) -> None:
        draws = [Mixture([3.0, 1.0], seed=5).chosen(number) for number in range(4000)]
        assert abs(np.mean(draws) - 0.25) < 0.025  # 3.6 standard deviations
        assert draws == [Mixture([0.75, 0.25], seed=5).chosen(number) for number in range(4000)]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_it_resumes_exactly(self, sets: list[TrainingSet], recipe, workers: int) -> None:
        whole = loaded(mixture(sets, recipe, workers=workers), workers, 12)
        resumed = mixture(sets, recipe, workers=workers, standing=behind(whole[:7]))
        assert equal(loaded(resumed, workers, 5), whole[7:])


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 5), min_size=4, max_size=9),
    buffer=st.integers(0, 12),
    world_size=st.integers(1, 2),
    workers=st.integers(1, 2),
    used=st.integers(0, 40),
    seed=st.integers(0, 99),
)
def test_any_place_in_the_order_is_found_again_and_epochs_are_whole(
    sizes, buffer: int, world_size: int, workers: int, used: int, seed: int
) -> None:
    readers = [Reader(rank, world_size, worker, workers) for rank in range(world_size) for worker in range(workers)]
    orders = [Order(sizes, buffer, seed, reader) for reader in readers]
    first = [list(takewhile(lambda place: place.epoch < 2, order.after(0))) for order in orders]
    for epoch in (0, 1):
        seen = [(place.shard, place.index) for part in first for place in part if place.epoch == epoch]
        assert sorted(seen) == [(shard, index) for shard, size in enumerate(sizes) for index in range(size)]
    for order, part in zip(orders, first, strict=True):
        later = [next(order.after(used)), *islice(order.after(used), 1, 4)]
        assert later == list(islice(order.after(0), used, used + 4))
        assert part


class TestBadClips:
    @pytest.fixture
    def damaged(self, small_shards: Path, tmp_path: Path) -> Path:
        """clip-1 is undecodable; the third shard, clip-4 and clip-5, is cut within clip-5."""
        folder = tmp_path / "damaged"
        shutil.copytree(small_shards, folder)
        first, _, third = shard_paths(folder)
        samples = list(read_samples([first]))
        samples[1][CLEAN] = samples[1][CLEAN][:300]
        parts = ((f"{one['__key__']}.{part}", one[part]) for one in samples for part in (CLEAN, "meta.json"))
        write_tar(first, parts)
        data = third.read_bytes()
        third.write_bytes(data[: len(data) * 2 // 3])
        return folder

    def test_they_are_passed_over_and_named(self, damaged: Path, recipe) -> None:
        batches = loaded(stream(damaged, recipe, tolerate=0.5), 0, 6)
        keys = {key.split("@")[0] for batch in batches for key in batch.keys}
        assert keys == {"clip-0", "clip-2", "clip-3", "clip-4"}
        bad = {clip.key: clip.reason for batch in batches for clip in batch.note.bad}
        assert set(bad) == {"clip-1", "clip-5"}
        assert "its clean.mp4 is not what the manifest lists" in bad["clip-1"]
        assert "shard-00002.tar" in bad["clip-5"]

    @pytest.mark.parametrize("workers", [0, 2])
    def test_what_comes_after_them_resumes_exactly(self, damaged: Path, recipe, workers: int) -> None:
        whole = loaded(stream(damaged, recipe, tolerate=0.5, workers=workers), workers, 9)
        resumed = stream(damaged, recipe, tolerate=0.5, workers=workers, standing=behind(whole[:4]))
        assert equal(loaded(resumed, workers, 5), whole[4:])

    def test_a_shard_that_vanishes_costs_its_clips_only(self, damaged: Path, recipe) -> None:
        data = stream(damaged, recipe, tolerate=0.7)
        shard_paths(damaged)[1].unlink()
        batches = loaded(data, 0, 4)
        assert {key.split("@")[0] for batch in batches for key in batch.keys} == {"clip-0", "clip-4"}

    def test_more_than_is_tolerated_ends_in_one_sentence(self, damaged: Path, recipe) -> None:
        with pytest.raises(
            UserError, match=r"^2 clips cannot be used and data\.tolerate allows 1; the last: clip clip-"
        ):
            loaded(stream(damaged, recipe, tolerate=0.2), 0, 9)

    def test_nothing_but_bad_clips_ends_even_where_all_are_tolerated(self, damaged: Path, recipe) -> None:
        data = stream(damaged, recipe, tolerate=1.0)
        for path in shard_paths(damaged):
            path.unlink()
        with pytest.raises(UserError, match=r"^no clip can be used; the last: clip clip-"):
            loaded(data, 0, 1)
