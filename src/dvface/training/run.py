"""The train command: a configuration in, a run folder out."""

import os
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import torch
from omegaconf import DictConfig, OmegaConf

from dvface.config.build import build
from dvface.config.compose import difference, load, resolve
from dvface.config.schema import STAGES, TrainSettings, check
from dvface.contracts import latent_frames
from dvface.data.datamodule import Source, check_clips
from dvface.errors import UserError
from dvface.files import write_text
from dvface.models.restorer import Restorer, best_device
from dvface.tracking.environment import provenance
from dvface.tracking.run import NoRun, Run
from dvface.training.chain import Chain, RunFolder, read_config, read_state, starting_weights, write_state
from dvface.training.finish import final_table, finish

RUN_VARIABLE = "DVFACE_RUN"
"""By this environment variable the first process tells those that Lightning starts which run they belong to."""


class Store(Protocol):
    """Where runs are tracked."""

    def start_run(self, experiment: str, name: str, tags: dict[str, str]) -> Run | NoRun:
        """A new run."""
        ...

    def open_run(self, run_id: str) -> Run | NoRun:
        """A run to go on with."""
        ...


def new_run(overrides: Sequence[str], say: Callable[[str], None]) -> Path:
    """Train what the overrides choose in a new run folder.

    Args:
        overrides: Hydra overrides of ``conf/train.yaml``.
        say: prints a line for the user.

    Returns:
        The run folder.

    Raises:
        UserError: the configuration is wrong; no run folder has been made then.
    """
    tree = load("train", overrides)
    changes = baseline_difference(tree, overrides)
    # A run must be found again from any working directory.
    tree.runs = str(Path(str(tree.runs)).resolve())
    settings = check(resolve(tree))
    check_parts(settings)
    for line in changes:
        say(line)
    store: Store = build(settings.logger)
    name = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = RunFolder(_fresh(Path(settings.runs) / settings.exp, name))
    tags = {"exp": settings.exp, "stage": settings.stage, "run_folder": str(folder.path), **provenance()}
    if changes:
        tags["ablation"] = "\n".join(changes)
    run = store.start_run("dvface", f"{settings.exp} {name}", tags)
    write_text(folder.config, OmegaConf.to_yaml(tree))
    write_state(folder, run, 0.0, finished=False)
    return _work(settings, folder, run, 0.0, say)


def resume_run(path: Path, say: Callable[[str], None]) -> Path:
    """Continue an interrupted run from its last checkpoint, with the configuration that it was started with.

    Raises:
        UserError: ``path`` is no unfinished run folder, or its configuration no longer fits this version.
    """
    folder = RunFolder(path)
    state = read_state(folder)
    tree = read_config(folder)
    settings = check(resolve(tree))
    run = build(settings.logger).open_run(state["tracking_run"])
    return _work(settings, folder, run, float(state["seconds"]), say)


def joined_run() -> Path | None:
    """The run that this process was started to help with; None where it is the first process."""
    folder = os.environ.get(RUN_VARIABLE)
    return Path(folder) if folder and os.environ.get("LOCAL_RANK", "0") != "0" else None


def help_run(path: Path) -> None:
    """Train along as a further process of a run: no tracking, no files, no words."""
    settings = check(resolve(read_config(RunFolder(path))))
    Chain(settings, RunFolder(path), NoRun()).train()


def baseline_difference(tree: DictConfig, overrides: Sequence[str]) -> list[str]:
    """What an ablation changes against its baseline under the same other overrides, a line a key."""
    if tree.baseline is None:
        return []
    others = [text for text in overrides if not text.startswith("exp=")]
    changed = difference(load("train", [f"exp={tree.baseline}", *others]), tree)
    return [f"{key}: {before} -> {after}" for key, (before, after) in changed.items()]


def check_model(settings: TrainSettings) -> Restorer:
    """Refuse a model whose parts do not fit each other, its stages or their clips; no data is touched.

    Returns:
        The model on the meta device: only shapes matter here, and a full-size model takes minutes and gigabytes to
        fill.

    Raises:
        UserError: one sentence on the first fault.
        WeightsMissing: a loss needs a network that is not at hand.
    """
    with torch.device("meta"):
        model: Restorer = build(settings.model)
    try:
        size = 2 * model.spatial_multiple
        with torch.inference_mode():
            model.eval()(torch.zeros(1, 3, 1 + model.temporal_stride, size, size, device="meta"))
    except (ValueError, RuntimeError, ArithmeticError) as error:
        raise UserError(f"the model's parts do not fit together: {str(error).splitlines()[0]}") from error
    for name in settings.chosen_stages:
        stage = settings.stages.of(name)
        build(stage.degradation)
        try:
            latent_frames(stage.frames, model.temporal_stride)
        except ValueError as error:
            raise UserError(f"stages.{name}.frames={stage.frames}: {error}") from error
        if stage.crop % model.spatial_multiple:
            raise UserError(
                f"stages.{name}.crop={stage.crop}: this model needs a multiple of {model.spatial_multiple} pixels"
            )
        try:
            build(stage.module)(model=model)
        except ValueError as error:
            raise UserError(f"stages.{name}.module: {error}") from error
    return model


def check_parts(settings: TrainSettings) -> None:
    """Refuse whatever can be refused before a run folder exists: parts, clips, stages, device.

    Raises:
        UserError: one sentence on the first fault.
        WeightsMissing: a loss needs a network that is not at hand.
    """
    if settings.trainer.accelerator == "gpu" and not torch.cuda.is_available():
        raise UserError("trainer.accelerator=gpu: this machine has no usable GPU; say trainer.accelerator=cpu")
    starting_weights(settings)
    model = check_model(settings)
    build(settings.pretrained).check(model)
    source: Source = build(settings.data.source)
    for name in settings.chosen_stages:
        stage = settings.stages.of(name)
        check_clips(source.prepare(), stage.frames, stage.crop, processes(settings), settings.data.workers)


def processes(settings: TrainSettings) -> int:
    """How many processes train together."""
    devices = torch.cuda.device_count() if settings.trainer.devices == "auto" else settings.trainer.devices
    return max(1, devices)


def _fresh(parent: Path, name: str) -> Path:
    """A folder that did not exist before, also when two runs start in one second."""
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        try:
            (parent / f"{name}{suffix}").mkdir(parents=True)
        except FileExistsError:
            continue
        return parent / f"{name}{suffix}"
    raise UserError(f"{parent} already has 99 runs of this second; try again")


def _work(
    settings: TrainSettings, folder: RunFolder, run: Run | NoRun, before: float, say: Callable[[str], None]
) -> Path:
    started = time.monotonic()

    def seconds() -> float:
        return before + time.monotonic() - started

    os.environ[RUN_VARIABLE] = str(folder.path)
    guard: AbstractContextManager[Any] = run
    try:
        with guard:
            run.log_params(settings.model_dump(exclude={"model"}))
            run.log_artifact(folder.config)
            trained = Chain(settings, folder, run).train()
            run.log_metrics({"total_parameters": trained.parameter_counts()["total"]}, step=0)
            if settings.chosen_stages[-1] == STAGES[-1]:
                pairs = build(settings.data.source).held_out()
                untrained: Restorer = build(settings.model)
                build(settings.pretrained).load(untrained)
                device = "cpu" if settings.trainer.accelerator == "cpu" else best_device()
                untrained, trained = untrained.eval().to(device), trained.to(device)
                result = finish(folder.path, pairs, untrained, trained, settings.metrics, run, seconds)
                say(final_table(result).text())
                for name, reason in result["left_out"].items():
                    say(f"left out: {name}: {reason}")
        write_state(folder, run, seconds(), finished=True)
    except BaseException as error:
        write_state(folder, run, seconds(), finished=False)
        if isinstance(error, KeyboardInterrupt | SystemExit):
            say(f"interrupted; go on with: dvface train resume={folder.path}")
        raise
    return folder.path
