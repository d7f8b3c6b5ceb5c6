import json
import os
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from tests.conftest import SMALLEST
from tests.training.processes import free_ports, once, together

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.contracts import ClipBatch
from dvface.data.datamodule import ClipDataModule, Source
from dvface.data.pairs import VideoPair
from dvface.data.sets import TrainingSet
from dvface.errors import UserError
from dvface.tracking.run import NoRun
from dvface.training.callbacks import WeightsAverage
from dvface.training.checkpoints import BestCheckpoint, LastCheckpoint, Stopped, WholeFileIO
from dvface.training.curves import read_curves
from dvface.training.finite import FiniteGuard
from dvface.training.records import RunLogger, StepRecords
from dvface.training.stage import Stage
from dvface.training.trainer import make_data, quieten

STEPS = 4


def settings(shards: Path, *changes: str) -> TrainSettings:
    """The smallest codebook stage."""
    places = (f"data.source.train={shards}", f"data.source.held_out={shards}")
    still = ("data.workers=0", "data.buffer=2", "logger=none")
    return check(resolve(load("train", [*SMALLEST, "stage=codebook", "data=shards", *places, *still, *changes])))


@pytest.fixture(scope="module")
def chosen(paired_shards: Path) -> TrainSettings:
    return settings(paired_shards)


class Place(Callback):
    """Takes down where the stream stands, as training does."""

    def on_train_batch_end(self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, _: int) -> None:
        trainer.datamodule.trained_on(batch.note)  # type: ignore[attr-defined]


class AtStep(Callback):
    """Does something to each batch of some steps, counted from 0, before it is trained on."""

    def __init__(self, steps: set[int], act: Callable[[ClipBatch], object]) -> None:
        self.steps = steps
        self.act = act

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: ClipBatch, _: int) -> None:
        if trainer.global_step in self.steps:
            self.act(batch)


class AtValidation(Callback):
    """Does something at the first held-out clip of the validation after so many steps."""

    def __init__(self, steps: int, act: Callable[[], object]) -> None:
        self.steps = steps
        self.act = act

    def on_validation_batch_start(self, trainer: Trainer, module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.steps and batch_idx == 0:
            self.act()


class Few:
    """The first held-out clips of a source."""

    def __init__(self, source: Source, clips: int) -> None:
        self.source = source
        self.clips = clips

    def training(self) -> list[TrainingSet]:
        return self.source.training()

    def held_out(self) -> list[VideoPair]:
        return self.source.held_out()[: self.clips]


def prepare(chosen: TrainSettings, clips: int = 2) -> tuple[Stage, ClipDataModule]:
    """The untrained codebook stage and its data."""
    quieten()
    torch.manual_seed(0)
    model = build(chosen.model)
    source: Source = Few(build(chosen.data.source), clips)
    return build(chosen.stages.codebook.module)(model=model), make_data(chosen, "codebook", model, source)


def trainer_in(folder: Path, *callbacks: Callback, **options: Any) -> Trainer:
    defaults: dict[str, Any] = {
        "accelerator": "cpu",
        "devices": 1,
        "max_steps": STEPS,
        "gradient_clip_val": 1.0,
        "log_every_n_steps": 1,
        "val_check_interval": STEPS,
        "plugins": [WholeFileIO()],
    }
    logger = RunLogger(NoRun(), "codebook", folder / "curves.jsonl")
    return Trainer(
        **(defaults | options),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=logger,
        default_root_dir=folder,
        callbacks=[Place(), *callbacks, StepRecords(logger, 1)],  # Lightning puts checkpoints last
    )


def fit(chosen: TrainSettings, folder: Path, *callbacks: Callback, **options: Any) -> tuple[Stage, Trainer]:
    """Train the codebook stage in ``folder``, from its last checkpoint if there is one."""
    stage, data = prepare(chosen)
    trainer = trainer_in(folder, *callbacks, **options)
    last = folder / "last.ckpt"
    trainer.fit(stage, datamodule=data, ckpt_path=str(last) if last.is_file() else None, weights_only=True)
    return stage, trainer


def last_in(folder: Path, every: int = 100) -> LastCheckpoint:
    return LastCheckpoint(folder / "last.ckpt", every)


def read(path: Path) -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(path, weights_only=True)
    return checkpoint


def same(one: Any, other: Any) -> bool:
    """Whether two nested states hold the same, bit for bit; NaN equals NaN."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one.nan_to_num(12345.0), other.nan_to_num(12345.0))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other) or (one != one and other != other)


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def send(signum: int) -> None:
    os.kill(os.getpid(), signum)


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """No file grows beyond ``size`` bytes: writing fails in the middle, as where no room is left."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture(scope="module")
def whole(chosen: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a stage that nothing interrupted; a validation after every second step."""
    folder = tmp_path_factory.mktemp("whole")
    fit(chosen, folder, BestCheckpoint(folder / "best.ckpt"), last_in(folder), val_check_interval=2)
    return folder


class TestFullDisk:
    def test_the_checkpoint_before_stays_and_the_message_says_which_and_what_to_do(self, tmp_path: Path) -> None:
        path = tmp_path / "last.ckpt"
        WholeFileIO().save_checkpoint({"global_step": 7, "state_dict": {"weight": torch.ones(1000)}}, path)
        before = path.read_bytes()
        large = {"global_step": 8, "state_dict": {"weight": torch.ones(100_000)}}
        with full_disk(50_000), pytest.raises(UserError, match=r"last\.ckpt cannot be written .*step 7 .*make room"):
            WholeFileIO().save_checkpoint(large, path)
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]
        WholeFileIO().save_checkpoint(large, path)
        assert same(WholeFileIO().load_checkpoint(path), large)

    def test_a_first_checkpoint_that_fails_leaves_nothing(self, tmp_path: Path) -> None:
        large = {"global_step": 8, "state_dict": {"weight": torch.ones(100_000)}}
        with full_disk(50_000), pytest.raises(UserError, match="there was none of that name before"):
            WholeFileIO().save_checkpoint(large, tmp_path / "last.ckpt")
        assert not list(tmp_path.iterdir())

    def test_what_is_no_plain_type_is_not_read_even_if_asked(self, tmp_path: Path) -> None:
        torch.save({"global_step": Path("home")}, tmp_path / "last.ckpt")
        with pytest.raises(Exception, match="Weights only load failed"):
            WholeFileIO().load_checkpoint(tmp_path / "last.ckpt", weights_only=False)


class TestSignals:
    @pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
    def test_the_step_is_finished_and_saved_and_the_resumed_stage_ends_where_an_uninterrupted_one_does(
        self, chosen: TrainSettings, whole: Path, tmp_path: Path, signum: int
    ) -> None:
        handlers = {one: signal.getsignal(one) for one in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)}
        told = AtStep({0}, lambda batch: send(signum))
        with pytest.raises(Stopped) as stopped:
            fit(chosen, tmp_path, told, last_in(tmp_path), val_check_interval=2)
        assert stopped.value.code == 128 + signum
        assert read(tmp_path / "last.ckpt")["global_step"] == 1
        assert {one: signal.getsignal(one) for one in handlers} == handlers
        fit(chosen, tmp_path, last_in(tmp_path), val_check_interval=2)
        assert_same_end(tmp_path, whole)

    def test_a_second_ctrl_c_ends_at_once(self, chosen: TrainSettings, tmp_path: Path) -> None:
        def press(batch: ClipBatch) -> None:
            send(signal.SIGINT)
            send(signal.SIGINT)
            raise AssertionError("the second one was not heard")

        with pytest.raises(SystemExit) as ended:
            fit(chosen, tmp_path, AtStep({1}, press), last_in(tmp_path))
        signal.signal(signal.SIGINT, signal.default_int_handler)  # Lightning ignores it from here on
        assert not isinstance(ended.value, Stopped)
        assert not (tmp_path / "last.ckpt").exists()

    def test_with_accumulated_batches_the_whole_step_is_finished(self, chosen: TrainSettings, tmp_path: Path) -> None:
        told = AtStep({1}, lambda batch: send(signal.SIGTERM))
        with pytest.raises(Stopped):
            fit(chosen, tmp_path, told, last_in(tmp_path), accumulate_grad_batches=2, val_check_interval=2 * STEPS)
        checkpoint = read(tmp_path / "last.ckpt")
        assert checkpoint["global_step"] == 2
        assert checkpoint["ClipDataModule"]["batches"] == 4

    def test_a_validation_that_was_cut_short_is_done_again_before_training_goes_on(
        self, chosen: TrainSettings, whole: Path, tmp_path: Path
    ) -> None:
        told = AtValidation(2, lambda: send(signal.SIGTERM))
        with pytest.raises(Stopped):
            fit(chosen, tmp_path, told, BestCheckpoint(tmp_path / "best.ckpt"), last_in(tmp_path), val_check_interval=2)
        assert read(tmp_path / "last.ckpt")["global_step"] == 2
        assert not (tmp_path / "best.ckpt").exists()
        fit(chosen, tmp_path, BestCheckpoint(tmp_path / "best.ckpt"), last_in(tmp_path), val_check_interval=2)
        assert_same_end(tmp_path, whole)
        kept = [read(folder / "last.ckpt")["callbacks"]["BestCheckpoint"] for folder in (tmp_path, whole)]
        assert kept[0] == kept[1]

    def test_the_last_validation_is_finished_and_the_average_is_what_a_resumed_stage_ends_with(
        self, chosen: TrainSettings, tmp_path: Path
    ) -> None:
        complete, _ = fit(chosen, tmp_path / "whole", WeightsAverage(0.9), last_in(tmp_path / "whole"))
        told = AtValidation(STEPS, lambda: send(signal.SIGTERM))
        with pytest.raises(Stopped):
            fit(chosen, tmp_path / "cut", WeightsAverage(0.9), told, last_in(tmp_path / "cut"))
        resumed, _ = fit(chosen, tmp_path / "cut", WeightsAverage(0.9), last_in(tmp_path / "cut"))
        assert same(dict(resumed.state_dict()), dict(complete.state_dict()))
        assert_same_end(tmp_path / "cut", tmp_path / "whole")


class TestBestCheckpoint:
    def test_it_is_the_one_of_the_lowest_held_out_loss_also_of_a_resumed_stage(
        self, paired_shards: Path, tmp_path: Path
    ) -> None:
        worsening = settings(paired_shards, "stages.codebook.module.learning_rate=3.0")
        told = AtStep({1}, lambda batch: send(signal.SIGTERM))
        best = tmp_path / "best.ckpt"
        with pytest.raises(Stopped):
            fit(worsening, tmp_path, told, BestCheckpoint(best), last_in(tmp_path), val_check_interval=1)
        fit(worsening, tmp_path, BestCheckpoint(best), last_in(tmp_path), val_check_interval=1)
        losses = read_curves(tmp_path / "curves.jsonl")["held_out/loss"]
        assert len(losses) == STEPS
        place, _ = min(losses, key=lambda point: point[1])
        assert place < STEPS - 1, "the loss must worsen for this test to say something"
        assert read(best)["global_step"] == place + 1


class TestAverage:
    def test_codebooks_that_are_buffers_are_taken_over_as_they_are(self, chosen: TrainSettings, tmp_path: Path) -> None:
        fit(chosen, tmp_path, WeightsAverage(0.9), last_in(tmp_path))
        checkpoint = read(tmp_path / "last.ckpt")
        averaged, current = checkpoint["state_dict"], checkpoint["current_model_state"]
        books = [name for name in current if "_codebook." in name]
        assert any(name.endswith("embed") for name in books)
        assert all(torch.equal(averaged[name], current[name]) for name in books)
        weights = [name for name in current if name.startswith("decoder.")]
        assert any(not torch.equal(averaged[name], current[name]) for name in weights)


def assert_same_end(folder: Path, whole: Path) -> None:
    """Same weights, same state of the optimizer, same curves."""
    one, other = (read(each / "last.ckpt") for each in (folder, whole))
    assert one["global_step"] == other["global_step"]
    for part in ("state_dict", "optimizer_states", "lr_schedulers", "ClipDataModule"):
        assert same(one[part], other[part]), part
    assert read_curves(folder / "curves.jsonl") == read_curves(whole / "curves.jsonl")


@pytest.fixture(scope="module")
def pair(chosen: TrainSettings, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder in which two processes, that train together, were interrupted in several ways."""
    return once(tmp_path_factory, "pair", lambda folder: together(_one_of_two, *free_ports(1), chosen, folder))


def _one_of_two(rank: int, port: int, chosen: TrainSettings, folder: Path) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {"LOCAL_RANK": str(rank), "NODE_RANK": "0"}
    torch.set_num_threads(1)
    told: dict[str, Any] = {}

    def train(name: str, *callbacks: Callback) -> None:
        last = last_in(folder / name, every=2)
        try:
            fit(chosen, folder / name, *callbacks, last, strategy="ddp", devices=2)
            told[name] = "ended"
        except (Stopped, UserError) as error:
            told[name] = str(error)

    train("signal", AtStep({1}, lambda batch: send(signal.SIGTERM) if rank == 1 else None))
    spoil = AtStep({1, 2}, lambda batch: batch.clean.fill_(torch.nan) if rank == 1 else None)
    train("spoilt", spoil, FiniteGuard(2, folder / "spoilt" / "non_finite.jsonl"))
    for clips in (1, 3):
        stage, data = prepare(chosen, clips)
        trainer = trainer_in(folder, strategy="ddp", devices=2)
        trainer.validate(stage, datamodule=data, verbose=False)
        told[f"held_out-{clips}"] = {name: float(value) for name, value in trainer.callback_metrics.items()}
    with full_disk(300_000) if rank == 0 else nullcontext():
        train("full")
    (folder / f"told-{rank}.json").write_text(json.dumps(told))


def told(pair: Path, name: str) -> list[Any]:
    """What both processes said of a training."""
    return [json.loads((pair / f"told-{rank}.json").read_text())[name] for rank in range(2)]


class TestTwoProcesses:
    def test_a_signal_to_one_ends_both_behind_the_same_saved_step(self, pair: Path) -> None:
        assert told(pair, "signal") == [str(128 + signal.SIGTERM)] * 2
        assert read(pair / "signal" / "last.ckpt")["global_step"] == 2

    def test_a_batch_that_is_not_finite_on_one_is_skipped_by_both_and_its_clips_are_told(self, pair: Path) -> None:
        first, second = told(pair, "spoilt")
        assert first == second
        assert "2 steps in a row, the last one step 3, were not finite" in first
        lines = lines_of(pair / "spoilt" / "non_finite.jsonl")
        assert [line["step"] for line in lines] == [2, 3]
        batches = {batch["process"]: batch for batch in lines[0]["batches"]}
        assert "loss" in batches[1]["not_finite"]
        assert batches[0]["not_finite"] == []
        assert all(key in first for key in lines[1]["batches"][1]["keys"])
        # Written after step 2, which was skipped; step 1 is in the weights.
        assert read(pair / "spoilt" / "last.ckpt")["global_step"] == 2

    def test_a_full_disk_ends_both_with_the_same_words(self, pair: Path) -> None:
        first, second = told(pair, "full")
        assert "last.ckpt cannot be written" in first
        assert first == second

    @pytest.mark.parametrize("clips", [1, 3])
    def test_held_out_numbers_are_those_of_one_process(
        self, chosen: TrainSettings, pair: Path, tmp_path: Path, clips: int
    ) -> None:
        stage, data = prepare(chosen, clips)
        trainer = trainer_in(tmp_path)
        trainer.validate(stage, datamodule=data, verbose=False)
        alone = {name: float(value) for name, value in trainer.callback_metrics.items()}
        assert "held_out/loss" in alone
        for both in told(pair, f"held_out-{clips}"):
            assert both == pytest.approx(alone, rel=1e-6)
