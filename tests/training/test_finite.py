from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.plugins.precision import MixedPrecision
from tests.training.test_checkpoints import AtStep, fit, last_in, lines_of, prepare, read, same, settings, trainer_in

from dvface.config.schema import TrainSettings
from dvface.contracts import ClipBatch
from dvface.errors import UserError
from dvface.training.callbacks import WeightsAverage
from dvface.training.curves import read_curves
from dvface.training.finite import FiniteGuard


@pytest.fixture(scope="module")
def chosen(paired_shards: Path) -> TrainSettings:
    return settings(paired_shards)


@pytest.fixture(scope="module")
def learned(paired_shards: Path) -> TrainSettings:
    """Codebooks whose entries are parameters, which the first forward pass places on features."""
    return settings(paired_shards, "codebook/spatial=vq", "codebook/temporal=vq")


class Film(Callback):
    """Keeps everything that training may change, as it is before the first step and after each."""

    def __init__(self) -> None:
        self.states: list[dict[str, Any]] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        self._take(trainer)

    def on_train_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        if len(self.states) <= trainer.global_step:
            self._take(trainer)

    def _take(self, trainer: Trainer) -> None:
        average = next((one for one in trainer.callbacks if isinstance(one, WeightsAverage)), None)  # type: ignore[attr-defined]
        state = {
            "weights": dict(trainer.lightning_module.state_dict()),
            "optimizer": trainer.optimizers[0].state_dict()["state"],
            "average": dict(average._average_model.state_dict()) if average else {},
        }
        self.states.append(deepcopy(state))


def spoil(batch: ClipBatch) -> None:
    batch.clean.fill_(torch.nan)


class SpoiltGradient(Callback):
    """One weight's gradient is infinite in one step; its loss is not."""

    def __init__(self, step: int, value: float) -> None:
        self.step = step
        self.value = value

    def on_after_backward(self, trainer: Trainer, module: LightningModule) -> None:
        if trainer.global_step == self.step:
            gradient = next(each.grad for each in module.parameters() if each.grad is not None)
            gradient.view(-1)[0] = self.value


def guard(folder: Path, limit: int = 10) -> FiniteGuard:
    return FiniteGuard(limit, folder / "non_finite.jsonl")


class TestASpoiltStep:
    @pytest.mark.parametrize("step", [0, 2])
    @pytest.mark.parametrize("kind", ["chosen", "learned"])
    def test_it_moves_no_weight_no_codebook_no_average_and_no_state_of_the_optimizer(
        self, request: pytest.FixtureRequest, tmp_path: Path, kind: str, step: int
    ) -> None:
        film = Film()
        average = WeightsAverage(0.9)
        fit(request.getfixturevalue(kind), tmp_path, AtStep({step}, spoil), guard(tmp_path), average, film)
        assert len(film.states) == 5
        for place, (before, after) in enumerate(zip(film.states, film.states[1:], strict=False)):
            assert same(before["weights"], after["weights"]) == (place == step)
            assert same(before, after) == (place == step)
        assert all(torch.isfinite(value).all() for value in film.states[-1]["weights"].values())

    def test_the_schedule_goes_on_and_the_step_is_recorded_with_its_clips(
        self, chosen: TrainSettings, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        keys = []
        told = AtStep({1}, lambda batch: (keys.extend(batch.keys), spoil(batch)))
        _, trainer = fit(chosen, tmp_path, told, guard(tmp_path))
        assert trainer.global_step == 4
        assert trainer.lr_scheduler_configs[0].scheduler.last_epoch == 4
        (line,) = lines_of(tmp_path / "non_finite.jsonl")
        assert line["step"] == 2
        (batch,) = line["batches"]
        assert batch["keys"] == keys
        assert {"loss", "reconstruction"} <= set(batch["not_finite"])
        curves = read_curves(tmp_path / "curves.jsonl")
        assert [value for _, value in curves["train/skipped_steps"]] == [0, 1, 1, 1]
        assert len(curves["train/gradient_norm"]) == 4
        words = capsys.readouterr().err
        assert "step 2 is not finite and was skipped" in words
        assert keys[0] in words

    def test_one_bad_part_spoils_a_step_of_several_batches(self, chosen: TrainSettings, tmp_path: Path) -> None:
        film = Film()
        parts: list[ClipBatch] = []

        def second(batch: ClipBatch) -> None:
            parts.append(batch)
            if len(parts) == 1:
                spoil(batch)

        told = AtStep({1}, second)
        fit(chosen, tmp_path, told, guard(tmp_path), film, accumulate_grad_batches=2, val_check_interval=8)
        assert len(parts) == 2
        assert [same(one, other) for one, other in zip(film.states, film.states[1:], strict=False)] == [
            False,
            True,
            False,
            False,
        ]
        (line,) = lines_of(tmp_path / "non_finite.jsonl")
        assert [batch["part"] for batch in line["batches"]] == [0, 1]

    def test_gradients_alone_can_spoil_it(self, chosen: TrainSettings, tmp_path: Path) -> None:
        film = Film()
        fit(chosen, tmp_path, SpoiltGradient(1, torch.inf), guard(tmp_path), film)
        assert same(film.states[1], film.states[2])
        (line,) = lines_of(tmp_path / "non_finite.jsonl")
        assert line["gradient_norm"] == "inf"
        assert line["batches"][0]["not_finite"] == []

    def test_what_a_gradient_scaler_skips_itself_is_not_counted(self, chosen: TrainSettings, tmp_path: Path) -> None:
        scaler = torch.amp.GradScaler("cpu", init_scale=4.0)
        half = MixedPrecision("16-mixed", "cpu", scaler)
        fit(chosen, tmp_path, SpoiltGradient(1, torch.inf), guard(tmp_path, 1), plugins=[half])
        assert scaler.get_scale() == 2.0
        assert not (tmp_path / "non_finite.jsonl").exists()


class TestTheLimit:
    def test_too_many_in_a_row_end_training_and_the_message_names_clips_record_and_checkpoint(
        self, chosen: TrainSettings, tmp_path: Path
    ) -> None:
        keys: list[str] = []
        told = AtStep({2, 3}, lambda batch: (keys.extend(batch.keys), spoil(batch)))
        with pytest.raises(UserError) as error:
            fit(chosen, tmp_path, told, guard(tmp_path, 2), last_in(tmp_path, every=2))
        words = str(error.value)
        assert "2 steps in a row, the last one step 4, were not finite" in words
        assert keys[-1] in words
        assert str(tmp_path / "non_finite.jsonl") in words
        assert f"{tmp_path / 'last.ckpt'} of step 2" in words
        assert read(tmp_path / "last.ckpt")["global_step"] == 2

    def test_good_steps_between_are_no_row_and_a_resumed_stage_counts_on(
        self, chosen: TrainSettings, tmp_path: Path
    ) -> None:
        bad = AtStep({0, 2, 3}, spoil)
        fit(chosen, tmp_path, bad, guard(tmp_path, 3), last_in(tmp_path))
        counted = read(tmp_path / "last.ckpt")["callbacks"]["FiniteGuard"]
        assert counted == {"skipped": 3, "in_a_row": 2}
        with pytest.raises(UserError, match="3 steps in a row, the last one step 5"):
            fit(chosen, tmp_path, AtStep({4}, spoil), guard(tmp_path, 3), last_in(tmp_path), max_steps=6)


def test_a_held_out_clip_has_the_same_random_stream_wherever_training_stands(
    chosen: TrainSettings, tmp_path: Path
) -> None:
    stage, data = prepare(chosen)
    drawn: list[float] = []
    stage.decoder.register_forward_pre_hook(lambda *_: drawn.append(float(torch.rand(()))))
    for seed in range(2):
        torch.manual_seed(seed)
        trainer_in(tmp_path).validate(stage, datamodule=data, verbose=False)
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]
