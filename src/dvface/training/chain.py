"""One command trains the stages that an experiment names, one after another, and can continue where it was."""

from __future__ import annotations

import json
import logging
import pickle
import signal
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer, seed_everything
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor
from yaml import YAMLError

from dvface.config.build import build
from dvface.config.schema import STAGES, TrainSettings
from dvface.data.datamodule import ClipDataModule, Source
from dvface.errors import UserError
from dvface.files import whole_file, write_json
from dvface.models.restorer import Restorer
from dvface.report.curves import plot_curves
from dvface.seeding import derive_seed
from dvface.tracking.run import NoRun, Run
from dvface.training.callbacks import LastCheckpoint, ProgressCallback, RunLogger, WeightsAverage, read_curves
from dvface.training.sharded import full_state, strategy
from dvface.training.stage import Stage


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files."""

    path: Path

    @property
    def config(self) -> Path:
        """The composed configuration; a resumed run reads it back."""
        return self.path / "config.yaml"

    @property
    def state(self) -> Path:
        """What a resumed run must know: the tracking run's id, the seconds spent, whether it is finished."""
        return self.path / "run.json"

    @property
    def model(self) -> Path:
        """The trained model, as `Restorer.from_pretrained` opens it."""
        return self.path / "model"

    @property
    def metrics(self) -> Path:
        """The measures of a finished run."""
        return self.path / "metrics.json"

    def weights(self, stage: str) -> Path:
        """What a finished stage left; the next one starts from it."""
        return self.path / "stages" / stage / "weights.safetensors"

    def checkpoint(self, stage: str) -> Path:
        """Where an unfinished stage stands."""
        return self.path / "stages" / stage / "last.ckpt"

    def curves(self, stage: str) -> Path:
        """The numbers that a stage logged."""
        return self.path / "stages" / stage / "curves.jsonl"


def starting_weights(settings: TrainSettings) -> tuple[str, Path] | None:
    """The stage, of another run, that the first chosen stage starts from, and what it left; None for nothing.

    Raises:
        UserError: no stage is chosen; the first one needs ``start_from`` and has none, or the other way round; or
            that run lacks the weights.
    """
    if not settings.chosen_stages:
        raise UserError(f"stage={settings.stage}: it has 0 steps in exp={settings.exp}; choose a variant of its group")
    first = settings.chosen_stages[0]
    before = [name for name in STAGES[: STAGES.index(first)] if settings.stages.of(name).steps]
    if not before:
        if settings.start_from is not None:
            raise UserError(f"start_from={settings.start_from}: the {first} stage comes first and starts from nothing")
        return None
    if settings.start_from is None:
        raise UserError(
            f"stage={first} starts from the {before[-1]} stage: give start_from=RUN_FOLDER of a run that trained it"
        )
    weights = RunFolder(Path(settings.start_from)).weights(before[-1])
    if not weights.is_file():
        raise UserError(f"start_from={settings.start_from}: no weights of the {before[-1]} stage at {weights}")
    return before[-1], weights


def inherited(stage: str) -> tuple[str, ...]:
    """The parts that another run may start from when this stage left them.

    The prior goes without the backbone, so that one prior can serve restorers with other backbones and fusions.
    """
    if stage == "restorer_latent":
        return ("autoencoder", "prior", "backbone")
    return ("autoencoder", "prior")


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors that a stage left.

    Raises:
        UserError: the file is damaged.
    """
    try:
        return load_file(path)
    except SafetensorError as error:
        raise UserError(f"{path} is damaged ({error}); delete it to train that stage again") from error


class Chain:
    """Trains the stages of one run.

    Args:
        settings: the checked configuration.
        folder: the run's folder.
        run: where numbers are tracked.
    """

    def __init__(self, settings: TrainSettings, folder: RunFolder, run: Run | NoRun) -> None:
        self.settings = settings
        self.folder = folder
        self.run = run

    def train(self) -> Restorer:
        """Train what is not trained yet; returns the model with the last stage's weights.

        Where several processes train, each runs the whole chain and the first one writes.
        """
        settings = self.settings
        seed_everything(derive_seed(settings.seed, "model") % 2**32, verbose=False)
        model = self._build()
        source: Source = build(settings.data.source)
        if not self.folder.weights(settings.chosen_stages[0]).is_file():
            build(settings.pretrained).load(model)
            self._load_start(model)
        for name in settings.chosen_stages:
            if not self.folder.weights(name).is_file():
                self._train_stage(name, model, source)
                if settings.trainer.strategy == "fsdp":
                    model = self._build()  # the one that was trained lies in pieces
            model.load_state_dict(read_weights(self.folder.weights(name)))
        if settings.chosen_stages[-1] == STAGES[-1] and first_process():
            model.save_pretrained(self.folder.model, settings.model)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # measuring is one process's work
        return model.eval()

    def _build(self) -> Restorer:
        options = self.settings.trainer
        model: Restorer = build(self.settings.model)
        if options.compile:
            model.backbone.compile()  # in place: the weights keep their names
        model.backbone.gradient_checkpointing = options.gradient_checkpointing
        return model

    def _load_start(self, model: Restorer) -> None:
        """A single stage starts from what the stage before it left in another run."""
        start = starting_weights(self.settings)
        if start is None:
            return
        stage, path = start
        weights = read_weights(path)
        for part in inherited(stage):
            own = {key.removeprefix(f"{part}."): value for key, value in weights.items() if key.startswith(f"{part}.")}
            try:
                getattr(model, part).load_state_dict(own)
            except RuntimeError as error:
                raise UserError(
                    f"start_from={self.settings.start_from} has another {part} than exp={self.settings.exp} asks; "
                    "train its earlier stages first"
                ) from error

    def _train_stage(self, name: str, model: Restorer, source: Source) -> None:
        settings = self.settings
        spec = settings.stages.of(name)
        seed_everything(derive_seed(settings.seed, "stage", name) % 2**32, verbose=False)
        stage: Stage = build(spec.module)(model=model)
        data = ClipDataModule(
            source=source,
            degradation=build(spec.degradation),
            frames=spec.frames,
            crop=spec.crop,
            context=settings.data.context,
            batch_size=spec.batch_size,
            workers=settings.data.workers,
            buffer=settings.data.buffer,
            seed=derive_seed(settings.seed, "data", name),
            multiple=model.spatial_multiple,
            temporal_stride=model.temporal_stride,
        )
        checkpoint = self.folder.checkpoint(name)
        trainer = make_trainer(
            settings, model, spec.steps, checkpoint, name, RunLogger(self.run, name, self.folder.curves(name))
        )
        resume = str(checkpoint) if checkpoint.is_file() and read_checkpoint(checkpoint) else None
        try:
            trainer.fit(stage, datamodule=data, ckpt_path=resume, weights_only=True)
        except SystemExit as ended:
            # Lightning turns Ctrl-C into an exit of its own and ignores further ones; SIGTERM into a success.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if trainer.received_sigterm:
                raise SystemExit(128 + signal.SIGTERM) from ended
            if trainer.interrupted:
                raise KeyboardInterrupt from ended
            raise
        state = full_state(trainer.strategy)
        if trainer.is_global_zero:
            own = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
            with whole_file(self.folder.weights(name)) as temporary:
                save_file({key: value.contiguous() for key, value in own.items()}, temporary)
            self._plot(name)
        trainer.strategy.barrier()

    def _plot(self, name: str) -> None:
        picture = self.folder.path / f"losses-{name}.png"
        plot_curves(picture, read_curves(self.folder.curves(name)), title=f"{self.settings.exp}: {name}")
        self.run.log_artifact(picture)


def first_process() -> bool:
    """Whether this process is the one that writes."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0


def read_config(folder: RunFolder) -> DictConfig:
    """The configuration that a run was started with, not resolved.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        tree = OmegaConf.load(folder.config)
    except (YAMLError, OSError) as error:
        raise UserError(f"{folder.config} is missing or damaged; start another run") from error
    if not isinstance(tree, DictConfig) or "model" not in tree:
        raise UserError(f"{folder.config} is damaged; start another run")
    return tree


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint, plain types and tensors only, mapped rather than read.

    Raises:
        UserError: it is damaged.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is damaged; delete it to train that stage from its start") from error
    if not isinstance(state, dict) or "state_dict" not in state:
        raise UserError(f"{path} is no training checkpoint; delete it to train that stage from its start")
    return state


def make_trainer(
    settings: TrainSettings, model: Restorer, steps: int, checkpoint: Path, name: str, logger: RunLogger
) -> Trainer:
    """A quiet Lightning trainer with a progress bar of ours and one checkpoint that is always the last."""
    quieten()
    options = settings.trainer
    return Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        strategy=strategy(options, model),
        # Sharding brings its own mixed precision.
        precision="32-true" if options.strategy == "fsdp" else options.precision,
        max_steps=steps,
        gradient_clip_val=options.gradient_clip,
        accumulate_grad_batches=options.accumulate,
        log_every_n_steps=options.log_every,
        val_check_interval=min(options.validate_every, steps) * options.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_checkpointing=True,
        enable_model_summary=False,
        logger=logger,
        default_root_dir=checkpoint.parent,
        callbacks=[
            *([WeightsAverage(options.averaging)] if options.averaging else []),
            ProgressCallback(name),
            LastCheckpoint(checkpoint, options.checkpoint_every),
        ],
    )


def quieten() -> None:
    """Silence advertisements and advice that a user of this project cannot act on."""
    for logger in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*not resumable.*",
        ".*in eval mode at the start of training.*",
        ".*overridden `transfer_batch_to_device`.*",
        ".*pin_memory.*",
    ):
        warnings.filterwarnings("ignore", message=message)


def write_state(folder: RunFolder, run: Run | NoRun, seconds: float, finished: bool) -> None:
    """Remember what a resumed run must know."""
    state = {"tracking_run": run.id, "seconds": round(seconds, 1), "finished": finished}
    write_json(folder.state, state)


def read_state(folder: RunFolder) -> dict[str, Any]:
    """What `write_state` wrote.

    Raises:
        UserError: the folder is no run folder, its file is damaged, or the run is finished.
    """
    if not folder.state.is_file() or not folder.config.is_file():
        raise UserError(
            f"resume={folder.path} is no run folder (no {folder.state.name}); name the folder that training printed"
        )
    try:
        state: dict[str, Any] = json.loads(folder.state.read_text(encoding="utf-8"))
        finished = state["finished"]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise UserError(f"{folder.state} is damaged; start another run with start_from={folder.path}") from error
    if finished:
        raise UserError(f"resume={folder.path}: that run is finished; start another")
    return state
