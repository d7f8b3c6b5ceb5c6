from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch.utils.data import DataLoader, Dataset

from dvface.config.build import build
from dvface.config.schema import TrainSettings
from dvface.contracts import ClipBatch
from dvface.tracking.run import NoRun
from dvface.training.curves import read_curves
from dvface.training.records import RunLogger
from dvface.training.speed import Speed

LOADING, STEPPING, VALIDATING, SAVING = 3.0, 1.0, 100.0, 1000.0


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


class SlowLoading(Dataset[ClipBatch]):
    """Two clips of 5 frames, loaded in ``seconds`` of the clock."""

    def __init__(self, clock: Clock, seconds: float, batches: int = 50) -> None:
        self.clock = clock
        self.seconds = seconds
        self.batches = batches

    def __len__(self) -> int:
        return self.batches

    def __getitem__(self, index: int) -> ClipBatch:
        self.clock.now += self.seconds
        video = torch.linspace(-1, 1, 2 * 3 * 5 * 32 * 32).reshape(2, 3, 5, 32, 32)
        return ClipBatch(video, video, ("one", "two"))


class SlowWork(Callback):
    """Steps and validation that take their time."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_before_backward(self, *args: Any) -> None:
        self.clock.now += STEPPING

    def on_validation_batch_end(self, *args: Any) -> None:
        self.clock.now += VALIDATING


class SlowSaving(Checkpoint):
    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_train_batch_end(self, *args: Any) -> None:
        self.clock.now += SAVING


def measure(
    settings: TrainSettings, folder: Path, loading: float, steps: int, every: int, **options: Any
) -> tuple[dict[str, list[tuple[int, float]]], list[str]]:
    """The recorded curves and what was said."""
    clock, said = Clock(), []
    speed = Speed("codebook", every, said.append, clock)
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        val_check_interval=1,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=every,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=folder,
        logger=RunLogger(NoRun(), "codebook", folder / "curves.jsonl"),
        profiler=speed.watch,
        callbacks=[SlowWork(clock), SlowSaving(clock), speed],
        **options,
    )
    stage = build(settings.stages.codebook.module)(model=build(settings.model))
    train, held_out = (
        DataLoader(SlowLoading(clock, seconds, batches), batch_size=None)
        for seconds, batches in ((loading, 50), (7, 1))
    )
    trainer.fit(stage, train, held_out)
    return read_curves(folder / "curves.jsonl"), said


def test_clips_frames_seconds_and_waiting_leave_validation_and_checkpoints_out(
    smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    curves, _ = measure(smallest_settings, tmp_path, LOADING, steps=6, every=2)
    places = [place for place, _ in curves["speed/step_seconds"]]
    assert places == [1, 3, 5]
    expected = {"clips_per_second": 2 / 4, "frames_per_second": 10 / 4, "step_seconds": 4, "waiting_share": 3 / 4}
    for name, value in expected.items():
        assert curves[f"speed/{name}"] == [(place, pytest.approx(value)) for place in places], name
    assert {name for name in curves if name.startswith("speed/")} == {
        *(f"speed/{name}" for name in expected),
        "speed/memory_gigabytes",
    }


def test_a_step_of_several_batches_is_one_step(smallest_settings: TrainSettings, tmp_path: Path) -> None:
    curves, _ = measure(smallest_settings, tmp_path, LOADING, steps=4, every=2, accumulate_grad_batches=3)
    assert curves["speed/step_seconds"] == [(1, pytest.approx(12)), (3, pytest.approx(12))]
    assert curves["speed/clips_per_second"] == [(1, pytest.approx(0.5)), (3, pytest.approx(0.5))]


def test_the_first_batch_pays_for_the_start_and_is_left_out(smallest_settings: TrainSettings, tmp_path: Path) -> None:
    curves, _ = measure(smallest_settings, tmp_path, LOADING, steps=3, every=1)
    assert [place for place, _ in curves["speed/step_seconds"]] == [1, 2]


@pytest.mark.parametrize(("loading", "sentences"), [(STEPPING / 2, 0), (STEPPING * 3, 1)])
def test_a_stage_that_mostly_waits_says_what_to_raise(
    smallest_settings: TrainSettings, tmp_path: Path, loading: float, sentences: int
) -> None:
    _, said = measure(smallest_settings, tmp_path, loading, steps=3, every=10)
    assert len(said) == sentences
    for sentence in said:
        assert sentence.startswith("codebook: 75% of the time")
        assert "data.workers" in sentence
        assert "data.prefetch" in sentence


def test_memory_is_the_most_that_the_process_has_held(smallest_settings: TrainSettings, tmp_path: Path) -> None:
    curves, _ = measure(smallest_settings, tmp_path, LOADING, steps=2, every=2)
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    kilobytes = int(status["VmHWM"].split()[0])
    assert curves["speed/memory_gigabytes"] == [(1, pytest.approx(kilobytes * 1024 / 1e9, rel=0.05))]
