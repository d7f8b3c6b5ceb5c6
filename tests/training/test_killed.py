"""Runs that are killed at any step, and the same command again."""

import sqlite3
from pathlib import Path

import pytest
from tests.conftest import SMALLEST
from tests.training.curves import timeless_curves
from tests.training.processes import Command

from dvface.training.run_folder import RunFolder

STEPS = 9


def words(shards: Path, runs: Path, *changes: str) -> list[str]:
    return [
        "train",
        *SMALLEST,
        f"runs={runs}",
        "name=run",
        "data=shards",
        f"data.source.train={shards}",
        f"data.source.held_out={shards}",
        "data.buffer=2",
        "stage=codebook",
        f"stages.codebook.steps={STEPS}",
        "stages.codebook.batch_size=1",
        "trainer.log_every=1",
        "trainer.checkpoint_every=5",
        "trainer.validate_every=3",
        "trainer.show_every=6",
        *changes,
    ]


def tracked(runs: Path) -> list[tuple[str, int, float]]:
    """Every metric in the tracking store, doubles included."""
    with sqlite3.connect(runs / "mlflow.db") as store:
        return sorted(store.execute("SELECT key, step, value FROM metrics WHERE key NOT LIKE '%speed/%'"))


def finish(command: Command) -> None:
    assert set(command.wait()) == {0}, command.words()


@pytest.mark.slow
@pytest.mark.parametrize(("workers", "processes", "moments"), [(0, 1, (6,)), (2, 2, (2,))])
def test_a_killed_run_ends_like_one_that_was_not(
    paired_shards: Path, six_shards: Path, tmp_path: Path, workers: int, processes: int, moments: tuple[int, ...]
) -> None:
    shards = six_shards if workers * processes > 1 else paired_shards
    together = [f"trainer.devices={processes}", "trainer.strategy=ddp"] if processes > 1 else []
    logger = "mlflow" if workers == 0 and processes == 1 else "none"  # a new store takes seconds
    changes = [f"data.workers={workers}", f"logger={logger}", *together]
    whole, cut = (words(shards, tmp_path / name, *changes) for name in ("whole", "cut"))
    folders = [RunFolder(tmp_path / name / "tiny" / "run") for name in ("whole", "cut")]
    finish(Command(whole, tmp_path / "said-whole", processes))
    for number, moment in enumerate(moments):
        command = Command(cut, tmp_path / f"said-cut-{number}", processes)
        command.kill_at(folders[1], "codebook", moment)
        assert not folders[1].weights("codebook").is_file()
    finish(Command(cut, tmp_path / "said-resumed", processes))

    assert folders[0].weights("codebook").read_bytes() == folders[1].weights("codebook").read_bytes()
    assert timeless_curves(folders[0], "codebook") == timeless_curves(folders[1], "codebook")
    assert len(timeless_curves(folders[1], "codebook")["train/loss"]) == STEPS
    assert [step for step, _ in timeless_curves(folders[1], "codebook")["held_out/loss"]] == [2, 5, 8]
    if logger == "mlflow":
        assert tracked(tmp_path / "whole") == tracked(tmp_path / "cut")
        assert len({(key, step) for key, step, _ in tracked(tmp_path / "cut")}) == len(tracked(tmp_path / "cut"))
