from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint
from PIL import Image
from tests.conftest import SMALLEST
from torch import Tensor
from torch.utils.data import DataLoader

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.contracts import ClipBatch
from dvface.data.stream import to_tensor
from dvface.models.restorer import Restorer
from dvface.perception.pixels import to_bytes
from dvface.tracking.run import NoRun
from dvface.tracking.store import SqliteStore
from dvface.training.callbacks import WeightsAverage
from dvface.training.pictures import SHOWN, HeldOutPictures
from dvface.training.restorer_stage import RestorerStage
from dvface.training.stage import Stage
from dvface.video.read import read_video

SIZE = 64
LIGHTEST = {
    "principal": ["autoencoder.channels=12"],
    "reconstruction": [],
}


def clip(carphone: np.ndarray, number: int, width: int = SIZE) -> ClipBatch:
    """Five real frames, SIZE high, with a darker degraded side."""
    frames = carphone[5 * number : 5 * number + 5, 40 : 40 + SIZE, 40 : 40 + width]
    return ClipBatch(to_tensor(frames)[None], to_tensor(frames // 2)[None], (f"clip-{number}",))


@pytest.fixture
def held_out(carphone: np.ndarray) -> list[ClipBatch]:
    return [clip(carphone, number) for number in range(4)]


def stage_of(settings: TrainSettings, name: str) -> Stage:
    torch.manual_seed(0)
    model: Restorer = build(settings.model)
    stage: Stage = build(settings.stages.of(name).module)(model=model)
    return stage


def fit(
    stage: Stage, held_out: list[ClipBatch], folder: Path, *callbacks: Callback, steps: int, **options: Any
) -> Trainer:
    """Train on one clip again and again, validate every second step."""
    trainer = Trainer(
        max_steps=steps,
        accelerator="cpu",
        val_check_interval=2 * options.get("accumulate_grad_batches", 1),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(one, ModelCheckpoint) for one in callbacks),
        logger=False,
        default_root_dir=folder,
        callbacks=list(callbacks),
        **{name: value for name, value in options.items() if name != "ckpt_path"},
    )
    # Only its first clips are trained on, so a resumed run needs no place in them.
    train = DataLoader([held_out[-1]] * 50, batch_size=None)
    trainer.fit(
        stage, train, DataLoader(held_out, batch_size=None), ckpt_path=options.get("ckpt_path"), weights_only=True
    )
    return trainer


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def below_labels(picture: np.ndarray, rows: int, row: int) -> np.ndarray:
    """The panels of one row of a sheet, without the strip that names them."""
    height = len(picture) // rows
    return picture[row * height : (row + 1) * height][-SIZE:]


def test_a_sheet_and_a_video_show_input_restored_and_clean(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path
) -> None:
    stage = stage_of(smallest_settings, "restorer")
    fit(stage, held_out, tmp_path, HeldOutPictures(2, tmp_path / "seen", NoRun(), "restorer"), steps=2)
    assert names(tmp_path / "seen") == ["step-000002.mp4", "step-000002.png"]

    picture = np.asarray(Image.open(tmp_path / "seen" / "step-000002.png"))
    stage.eval()
    for row, batch in enumerate(held_out[:SHOWN]):
        with torch.no_grad():
            restored = stage.model(batch.degraded)
        expected = [to_bytes(video[0].transpose(0, 1))[2] for video in (batch.degraded, restored, batch.clean)]
        np.testing.assert_array_equal(below_labels(picture, SHOWN, row), np.concatenate(expected, axis=1))
    video = read_video(tmp_path / "seen" / "step-000002.mp4")
    clean = to_bytes(held_out[0].clean[0].transpose(0, 1))
    strip = len(picture) // SHOWN - SIZE
    assert video.shape[0] == 5
    assert video.shape[2] == 3 * SIZE
    assert np.abs(video[:, strip : strip + SIZE, -SIZE:].astype(int) - clean).mean() < 5


@pytest.mark.parametrize(
    ("every", "steps"), [(0, []), (1, [2, 4, 6, 8, 10]), (2, [2, 4, 6, 8, 10]), (3, [4, 6, 10]), (100, [])]
)
def test_they_come_at_the_validation_on_or_next_after_every_so_many_steps(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path, every: int, steps: list[int]
) -> None:
    pictures = HeldOutPictures(every, tmp_path / "seen", NoRun(), "codebook")
    fit(stage_of(smallest_settings, "codebook"), held_out[:1], tmp_path, pictures, steps=10)
    assert [name for name in names(tmp_path / "seen") if name.endswith("png")] == [f"step-{s:06d}.png" for s in steps]


def test_accumulated_batches_are_no_steps(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path
) -> None:
    pictures = HeldOutPictures(4, tmp_path / "seen", NoRun(), "codebook")
    stage = stage_of(smallest_settings, "codebook")
    fit(stage, held_out[:1], tmp_path, pictures, steps=6, accumulate_grad_batches=3)
    assert names(tmp_path / "seen") == ["step-000004.mp4", "step-000004.png"]


class RandomlyShown(RestorerStage):
    """Its pictures need random numbers, and so do its losses."""

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        return super().losses(replace(batch, degraded=batch.degraded + 0.1 * torch.rand_like(batch.degraded)))

    def show(self, batch: ClipBatch) -> dict[str, Tensor]:
        return {"noise": torch.rand_like(batch.clean), **super().show(batch)}


def test_training_goes_on_as_if_nothing_had_been_drawn(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path
) -> None:
    class Watch(Callback):
        """Keeps what training and validation could be disturbed in."""

        def __init__(self) -> None:
            self.seen: list[Tensor] = []
            self.modes: list[list[bool]] = []

        def on_train_batch_end(self, trainer: Trainer, module: Any, outputs: Any, *rest: object) -> None:
            self.seen.append(outputs["loss"])
            self.modes.append([part.training for part in module.modules()])

        def on_validation_end(self, trainer: Trainer, module: Any) -> None:
            self.seen.extend([trainer.callback_metrics["held_out/loss"].clone(), torch.get_rng_state()])

    states, watches = [], []
    for every in (0, 1):
        plain = stage_of(smallest_settings, "restorer")
        assert isinstance(plain, RestorerStage)
        stage = RandomlyShown(plain.model, plain.terms, learning_rate=1e-3, warmup_steps=1, seed=0, train_decoder=False)
        watch = Watch()
        pictures = HeldOutPictures(every, tmp_path / str(every), NoRun(), "restorer")
        # Every clip is drawn, so that nothing sets the stream of random numbers anew behind the last one.
        fit(stage, held_out[:SHOWN], tmp_path, pictures, watch, steps=4)
        states.append(stage.state_dict())
        watches.append(watch)
    assert names(tmp_path / "0") == []
    assert len(names(tmp_path / "1")) == 4
    for name, value in states[0].items():
        assert torch.equal(states[1][name], value), name
    assert all(map(torch.equal, watches[0].seen, watches[1].seen))
    assert len(watches[0].seen) == 4 + 2 * 2
    assert watches[0].modes == watches[1].modes


def test_a_resumed_run_draws_the_same_files(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path
) -> None:
    saved = ModelCheckpoint(tmp_path, "at-{step}", every_n_train_steps=2, save_top_k=-1)
    pictures = HeldOutPictures(3, tmp_path / "whole", NoRun(), "codebook")
    fit(stage_of(smallest_settings, "codebook"), held_out, tmp_path, pictures, saved, steps=6)
    assert len(names(tmp_path / "whole")) == 4
    pictures = HeldOutPictures(3, tmp_path / "resumed", NoRun(), "codebook")
    checkpoint = str(tmp_path / "at-step=2.ckpt")
    fit(stage_of(smallest_settings, "codebook"), held_out, tmp_path, pictures, steps=6, ckpt_path=checkpoint)
    assert names(tmp_path / "resumed") == names(tmp_path / "whole")
    for name in names(tmp_path / "whole"):
        assert (tmp_path / "resumed" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes(), name


def test_a_moving_average_is_what_is_drawn(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path
) -> None:
    drawn = {}
    for name, callbacks in {"plain": [], "averaged": [WeightsAverage(0.9)]}.items():
        pictures = HeldOutPictures(4, tmp_path / name, NoRun(), "codebook")
        stage = stage_of(smallest_settings, "codebook")
        stage.learning_rate = 0.1
        fit(stage, held_out, tmp_path, *callbacks, pictures, steps=4)
        drawn[name] = np.asarray(Image.open(tmp_path / name / "step-000004.png"))
        with torch.no_grad():
            left = to_bytes(stage.eval().show(held_out[0])["reconstruction"][0].transpose(0, 1))[2]
        # At its end the stage holds the average.
        np.testing.assert_array_equal(below_labels(drawn[name], SHOWN, 0)[:, SIZE:], left)
    assert not np.array_equal(drawn["plain"], drawn["averaged"])


def test_padding_is_not_drawn_and_clips_of_other_sizes_are(
    smallest_settings: TrainSettings, carphone: np.ndarray, tmp_path: Path
) -> None:
    held_out = [clip(carphone, 0, width=96), clip(carphone, 1), replace(clip(carphone, 2), padding=True)]
    pictures = HeldOutPictures(2, tmp_path / "seen", NoRun(), "codebook")
    fit(stage_of(smallest_settings, "codebook"), held_out, tmp_path, pictures, steps=2)
    picture = np.asarray(Image.open(tmp_path / "seen" / "step-000002.png"))
    wide, last = (to_bytes(batch.clean[0].transpose(0, 1))[2] for batch in held_out[:2])
    assert picture.shape[1] == 2 * 96
    assert len(picture) < 3 * SIZE
    assert any(np.array_equal(picture[top : top + SIZE, :96], wide) for top in range(SIZE))
    np.testing.assert_array_equal(picture[-SIZE:, :SIZE], last)


def test_a_stage_that_shows_nothing_draws_nothing(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path
) -> None:
    pictures = HeldOutPictures(2, tmp_path / "seen", NoRun(), "prior")
    fit(stage_of(smallest_settings, "prior"), held_out[:1], tmp_path, pictures, steps=2)
    assert names(tmp_path / "seen") == []


@pytest.mark.parametrize("variant", ["principal", "reconstruction"])
def test_an_autoencoder_s_stage_shows_clean_clips_and_what_comes_back(held_out: list[ClipBatch], variant: str) -> None:
    kind = {"principal": "principal", "reconstruction": "light"}[variant]
    changes = ["loss=pixel", f"autoencoder={kind}", f"stages/autoencoder={variant}", *LIGHTEST[variant]]
    stage = stage_of(check(resolve(load("train", [*SMALLEST, *changes]))), "autoencoder").eval()
    shown = stage.show(held_out[0])
    assert torch.equal(shown["clean"], held_out[0].clean)
    expected = stage.model.autoencoder.decode(stage.model.autoencoder.encode(held_out[0].clean))
    assert torch.equal(shown["reconstruction"], expected)


def test_mlflow_has_them_below_the_stage(
    smallest_settings: TrainSettings, held_out: list[ClipBatch], tmp_path: Path
) -> None:
    store = SqliteStore(tmp_path)
    with store.start_run("dvface", "pictures", {}) as run:
        pictures = HeldOutPictures(2, tmp_path / "seen", run, "codebook")
        fit(stage_of(smallest_settings, "codebook"), held_out, tmp_path, pictures, steps=2)
    kept = store.artifact_root / run.id / "artifacts" / "codebook" / "samples"
    assert names(kept) == ["step-000002.mp4", "step-000002.png"]
