"""How a run begins with what another left: start_from, fork, warm_start, weights_only."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import Tensor

from dvface.config.build import build
from dvface.config.schema import STAGES, TrainSettings
from dvface.errors import UserError
from dvface.files import whole_file
from dvface.models.model_folder import SMALL, WEIGHTS_FILE, model_folder
from dvface.models.restorer import Restorer
from dvface.training.run_folder import RunFolder, model_tensors, read_checkpoint, read_config, read_weights
from dvface.training.stage import Stage

Tensors = dict[str, Tensor]


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
        if settings.fork or settings.warm_start or settings.weights_only:
            return None
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


def check_beginning(settings: TrainSettings, model: Restorer) -> None:
    """Refuse, before a run folder exists, a beginning that does not fit.

    Args:
        settings: the checked configuration.
        model: the model on the meta device.

    Raises:
        UserError: one sentence on the first fault and the word that would do instead.
    """
    starting_weights(settings)
    if settings.fork is not None:
        _check_fork(settings, model, RunFolder(Path(settings.fork)))
    if settings.warm_start is not None:
        _check_whole(settings.warm_start, _latest(Path(settings.warm_start), "warm_start"), model)
    if settings.weights_only is not None:
        _fitting(settings.weights_only, _any_weights(Path(settings.weights_only)), model)


def load_beginning(settings: TrainSettings, model: Restorer, say: Callable[[str], None]) -> None:
    """Fill a new run's model with what it begins with; a fork's files are already in its folder.

    Raises:
        UserError: the weights do not fit.
    """
    if (start := starting_weights(settings)) is not None:
        _load_parts(settings, model, *start)
    if settings.warm_start is not None:
        tensors = _latest(Path(settings.warm_start), "warm_start")
        _check_whole(settings.warm_start, tensors, model)
        model.load_state_dict(tensors)
        say(f"warm start: all {len(tensors)} tensors from {settings.warm_start}")
    if settings.weights_only is not None:
        tensors = _any_weights(Path(settings.weights_only))
        fitting = _fitting(settings.weights_only, tensors, model)
        model.load_state_dict(fitting, strict=False)
        missing = [name for name in model.state_dict() if name not in fitting]
        say(f"weights only: {len(fitting)} tensors from {settings.weights_only}; {_named(missing)} begin anew")


def _named(names: list[str]) -> str:
    shown = ", ".join(names[:3]) + (", …" if len(names) > 3 else "")
    return f"{len(names)} ({shown})" if names else "none"


def _load_parts(settings: TrainSettings, model: Restorer, stage: str, path: Path) -> None:
    """A single stage starts from what the stage before it left in another run."""
    weights = read_weights(path)
    for part in inherited(stage):
        own = {key.removeprefix(f"{part}."): value for key, value in weights.items() if key.startswith(f"{part}.")}
        try:
            getattr(model, part).load_state_dict(own)
        except RuntimeError as error:
            raise UserError(
                f"start_from={settings.start_from} has another {part} than exp={settings.exp} asks; "
                "train its earlier stages first"
            ) from error


def _latest(path: Path, word: str) -> Tensors:
    """The weights of a run as far as it has come: of an unfinished stage's checkpoint, or what a finished stage left.

    Of a run that averages its weights the average, which is what its stages end with.
    """
    folder = RunFolder(path)
    read_config(_run_folder(path, word))
    for name in reversed(STAGES):
        if folder.weights(name).is_file():
            return read_weights(folder.weights(name))
        if folder.checkpoint(name).is_file():
            return model_tensors(read_checkpoint(folder.checkpoint(name)))
    raise UserError(f"{word}={path}: that run has left no weights yet")


def _run_folder(path: Path, word: str) -> RunFolder:
    folder = RunFolder(path)
    if not folder.config.is_file():
        raise UserError(f"{word}={path} is no run folder (no {folder.config.name}); name one that training printed")
    return folder


def _any_weights(path: Path) -> Tensors:
    """The tensors of a run, a model folder, the model that ships, or a safetensors file."""
    if str(path) == SMALL:
        path = model_folder(SMALL)
    if path.is_file() and path.suffix == ".safetensors":
        return read_weights(path)
    if (path / WEIGHTS_FILE).is_file():
        return read_weights(path / WEIGHTS_FILE)
    if RunFolder(path).config.is_file():
        return _latest(path, "weights_only")
    raise UserError(f"weights_only={path}: there is no run, no model folder and no .safetensors file, nor is it small")


def _check_whole(address: str, tensors: Tensors, model: Restorer) -> None:
    fault = _misfit(tensors, model.state_dict())
    if fault:
        raise UserError(
            f"warm_start={address}: {fault}; make the model the same, or say weights_only={address} to take what fits"
        )


def _misfit(given: Tensors, wanted: Tensors) -> str:
    """The first way in which tensors do not fit; empty where all do."""
    for name, value in wanted.items():
        if name not in given:
            return f"it has no {name}"
        if given[name].shape != value.shape:
            return f"its {name} is {tuple(given[name].shape)}, {tuple(value.shape)} is asked"
    extra = next((name for name in given if name not in wanted), None)
    return f"it has {extra}, which this model lacks" if extra else ""


def _fitting(address: str, tensors: Tensors, model: Restorer) -> Tensors:
    wanted = model.state_dict()
    found = {name: value for name, value in tensors.items() if name in wanted and wanted[name].shape == value.shape}
    if not found:
        raise UserError(f"weights_only={address}: none of its {len(tensors)} tensors fits this model by name and shape")
    return found


def forked_stages(settings: TrainSettings, source: RunFolder) -> tuple[list[str], str | None]:
    """What a fork takes over: the finished stages, and the one that goes on from its checkpoint.

    A finished stage whose steps have been raised goes on too.

    Raises:
        UserError: there is nothing to take over, or a stage has done more steps than are asked.
    """
    finished: list[str] = []
    going_on = None
    for name in settings.chosen_stages:
        asked = settings.stages.of(name).steps
        done = None
        if source.checkpoint(name).is_file():
            done = int(read_checkpoint(source.checkpoint(name))["global_step"])
            if done > asked:
                raise UserError(
                    f"fork={source.path}: its {name} stage has done {done} steps, stages.{name}.steps={asked} asks "
                    f"fewer; ask {done} or more, or say warm_start={source.path}"
                )
        if source.weights(name).is_file() and (done is None or done == asked):
            finished.append(name)
            continue
        going_on = name if done is not None else None
        break
    if not finished and going_on is None:
        raise UserError(f"fork={source.path}: that run has no checkpoint of {settings.chosen_stages[0]} yet")
    if len(finished) == len(settings.chosen_stages):
        last = finished[-1]
        raise UserError(
            f"fork={source.path}: all its stages are finished, nothing is left to train; raise stages.{last}.steps"
        )
    return finished, going_on


def _check_fork(settings: TrainSettings, model: Restorer, source: RunFolder) -> None:
    read_config(_run_folder(source.path, "fork"))
    finished, going_on = forked_stages(settings, source)
    for name in finished:
        _refuse_fork(source, name, _misfit(read_weights(source.weights(name)), model.state_dict()))
    if going_on is not None:
        state = read_checkpoint(source.checkpoint(going_on))
        stage: Stage = build(settings.stages.of(going_on).module)(model=model)
        _refuse_fork(source, going_on, _misfit(state["state_dict"], stage.state_dict()))
        if "current_model_state" in state and settings.trainer.averaging is None:
            fault = "it keeps a moving average of its weights, which trainer.averaging=null would drop"
            _refuse_fork(source, going_on, fault)
        learning = sum(parameter.requires_grad for parameter in stage.parameters())
        learned = sum(len(group["params"]) for group in state["optimizer_states"][0]["param_groups"])
        fault = f"{learned} tensors learned in it, {learning} are to learn" if learned != learning else ""
        _refuse_fork(source, going_on, fault)


def _refuse_fork(source: RunFolder, stage: str, fault: str) -> None:
    if fault:
        raise UserError(
            f"fork={source.path}: its {stage} stage does not fit: {fault}; make the model the same, or say "
            f"weights_only={source.path}"
        )


def copy_fork(settings: TrainSettings, folder: RunFolder) -> str:
    """Copy what a fork takes over into the new run's folder; returns a sentence on where it goes on."""
    source = RunFolder(Path(str(settings.fork)))
    finished, going_on = forked_stages(settings, source)
    for name in [*finished, *([going_on] if going_on else [])]:
        files = [source.checkpoint(name), source.best(name), source.curves(name)]
        for file in files + ([source.weights(name)] if name in finished else []):
            if file.is_file():
                with whole_file(folder.stage(name) / file.name) as temporary:
                    shutil.copyfile(file, temporary)
    if going_on is None:
        return f"fork of {source.path}: behind its {finished[-1]} stage"
    state: dict[str, Any] = read_checkpoint(source.checkpoint(going_on))
    return f"fork of {source.path}: {going_on} goes on at step {state['global_step']}"
