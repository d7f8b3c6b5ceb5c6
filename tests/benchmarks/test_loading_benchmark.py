from itertools import cycle
from pathlib import Path

import pytest
import torch
from tests.conftest import SMALLEST

from dvface.benchmarks.footage import talking_head
from dvface.benchmarks.loading import (
    Loading,
    Round,
    Way,
    endless_batches,
    measure_loading,
    measure_workers,
    write_pairs,
)
from dvface.benchmarks.memory import Held, MemoryWatch, can_measure_memory
from dvface.benchmarks.stepping import WARM, measure_steps
from dvface.cli.benchmark import loading_table, memory_table, online_table
from dvface.cli.benchmark_training import Training
from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.data.pairing import Degradation, FreshCrops, Stored
from dvface.data.shards import CLEAN, DEGRADED

CLIPS, FRAMES, SIZE = 4, 5, 96


@pytest.fixture(scope="module")
def light() -> Degradation:
    return build(resolve(load("train", ["degradation=light"]))["degradation"])


@pytest.fixture(scope="module")
def pairs(light: Degradation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs") / "set", CLIPS, FRAMES, SIZE, light, seed=0)


def consistent(found: Loading, frames: int, rounds: int) -> None:
    assert (found.frames, len(found.rounds)) == (frames, rounds)
    low, high = found.spread
    assert 0 < low <= high
    assert found.best.ours == min(one.ours for one in found.rounds)
    assert found.ratio == pytest.approx(found.best.bare / found.best.ours)
    assert all(0 <= one.recipe < one.ours for one in found.rounds)


def test_both_sides_decode_as_many_frames_and_only_the_recipe_is_booked_as_recipe(
    pairs: Path, light: Degradation
) -> None:
    ways = [
        Way("stored", Stored(), light, SIZE, (CLEAN, DEGRADED)),
        Way("online", FreshCrops(), light, SIZE // 2, (CLEAN,)),
    ]
    before = torch.get_num_threads()
    stored, online = measure_loading(pairs, ways, FRAMES, rounds=2)
    consistent(stored, 2 * CLIPS * FRAMES, rounds=2)
    consistent(online, CLIPS * FRAMES, rounds=2)
    assert not any(one.recipe for one in stored.rounds)
    assert all(one.recipe > 0 for one in online.rounds)
    assert torch.get_num_threads() == before


def test_workers_and_processes_that_decode_load_as_many_frames(pairs: Path, light: Degradation) -> None:
    way = Way("stored", Stored(), light, SIZE, (CLEAN, DEGRADED))
    consistent(measure_workers(pairs, way, FRAMES, rounds=1, workers=2), 2 * 2 * CLIPS * FRAMES, rounds=1)


def test_the_footage_is_the_talking_head_and_its_degraded_twin(pairs: Path, light: Degradation) -> None:
    assert talking_head(CLIPS, FRAMES, SIZE)[0].shape == (FRAMES, SIZE, SIZE, 3)
    way = Way("stored", Stored(), light, SIZE, (CLEAN, DEGRADED))
    batch = next(endless_batches(pairs, way, FRAMES, workers=0))
    assert batch.clean.shape == batch.degraded.shape == (2, FRAMES, SIZE, SIZE, 3)
    assert not torch.equal(batch.clean, batch.degraded)


@pytest.mark.skipif(not can_measure_memory(), reason="this system does not tell it")
def test_memory_that_is_kept_is_seen_and_nothing_passes_behind_the_last_mark() -> None:
    watch = MemoryWatch(cycle([torch.ones(10_000_000)]), marks=(2, 10))  # too large for memory that was freed before
    kept = [batch + number for number, batch in enumerate(watch)]
    assert len(kept) == 10
    assert [one.batches for one in watch.held] == [2, 10]
    assert 250 < watch.held[1].process - watch.held[0].process < 450, "eight tensors of 40 MB were kept in between"


def test_both_sides_make_the_same_steps(paired_shards: Path, tmp_path: Path) -> None:
    data = ["data=paired", f"data.source.train={paired_shards}", f"data.source.held_out={paired_shards}"]
    steps = 6
    training = Training(["exp=tiny", *SMALLEST, *data, "data.buffer=2"], WARM + steps + 2, tmp_path)
    begin = [parameter.detach().clone() for parameter in training.stage.parameters()]
    found = measure_steps(training.train, training.bare_loop(), training.batches, steps)
    assert len(found.ours) == len(found.bare) == steps
    assert min(*found.ours, *found.bare) > 0
    low, high = found.quartiles
    assert 0 < low <= high
    assert min(found.ours) / max(found.bare) <= found.ratio <= max(found.ours) / min(found.bare)
    assert training.difference() < 1e-6
    assert any(not torch.equal(now, old) for now, old in zip(training.stage.parameters(), begin, strict=True))


def test_a_trainer_that_stops_early_is_no_measurement() -> None:
    def train(batches: object) -> None:
        next(iter(batches))

    with pytest.raises(ValueError, match="the trainer has made 0 steps"):
        measure_steps(train, bare=lambda batch: None, batches=[None], steps=3)


def test_the_shares_of_a_table_add_up() -> None:
    found = Loading("light", 48, 100, (Round(2.0, 0.7, 1.5), Round(2.5, 0.9, 1.0)))
    assert found.best == Round(2.0, 0.7, 1.0)
    line = online_table([found]).splitlines()[-1]
    assert line.split() == ["light", "48", "50.0", "50.0", "35.0", "15.0"]
    assert loading_table([found]).splitlines()[-1].split() == ["light", "48", "50.0", "100.0", "0.50", "0.40–0.75"]


def test_growth_is_counted_from_the_second_mark_on_where_all_has_warmed_up() -> None:
    held = [Held(200, 100.0, 50.0), Held(500, 110.0, 60.0), Held(2000, 111.0, 62.5)]
    assert memory_table(held, "loading").splitlines()[-1] == "loading: +3.5 MB from 500 to 2,000 batches"
