"""Clips that turn out bad in mid-training."""

import json
import shutil
from pathlib import Path

import pytest
from tests.training.curves import timeless_curves
from tests.training.processes import Command
from tests.training.runs import Runs

from dvface.data.shards import shard_paths
from dvface.errors import UserError


@pytest.fixture
def runs(tmp_path: Path, paired_shards: Path) -> Runs:
    """On a data set of which the last shard, clip-4 and clip-5, is cut short within clip-5."""
    folder = tmp_path / "damaged"
    shutil.copytree(paired_shards, folder)
    last = shard_paths(folder)[-1]
    data = last.read_bytes()
    last.write_bytes(data[: len(data) * 11 // 20])
    return Runs(tmp_path / "runs", folder)


def words(runs: Runs, paired_shards: Path, tolerate: float) -> list[str]:
    return [
        f"data.source.held_out={paired_shards}",
        f"data.tolerate={tolerate}",
        "stages.codebook.steps=6",
        "stages.codebook.batch_size=1",
    ]


def test_they_are_said_counted_and_recorded_once_also_when_the_run_is_cut(
    runs: Runs, paired_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen = words(runs, paired_shards, 0.2)
    whole = runs.train(*chosen, "name=whole")
    assert [line for line in runs.said if line.startswith("left out: clip clip-5 cannot be used")]
    (found,) = map(json.loads, (whole.stage("codebook") / "bad_clips.jsonl").read_text().splitlines())
    assert found["key"] == "clip-5"
    counted = timeless_curves(whole, "codebook")["data/bad_clips"]
    assert counted == [(found["step"], 1.0)]
    for after in {min(5, found["step"] + 1), 3}:
        cut = runs.cut(monkeypatch, *chosen, f"name=cut-{after}", after=after)
        runs.train(*chosen, f"name=cut-{after}")
        assert timeless_curves(cut, "codebook") == timeless_curves(whole, "codebook")
        files = [folder.stage("codebook") / "bad_clips.jsonl" for folder in (whole, cut)]
        assert files[0].read_text() == files[1].read_text()
        assert whole.weights("codebook").read_bytes() == cut.weights("codebook").read_bytes()


@pytest.mark.slow
def test_a_process_with_loader_workers_stops_too(runs: Runs, paired_shards: Path, tmp_path: Path) -> None:
    chosen = runs.words(*words(runs, paired_shards, 0.1), "data.workers=1")
    command = Command(["train", *chosen], tmp_path / "said")
    assert command.wait() == [2]
    assert "error: 1 clips cannot be used and data.tolerate allows 0" in command.words()


def test_training_stops_in_one_sentence_when_they_are_too_many(runs: Runs, paired_shards: Path) -> None:
    with pytest.raises(UserError, match=r"^1 clips cannot be used and data\.tolerate allows 0; the last: clip clip-5"):
        runs.train(*words(runs, paired_shards, 0.1))
