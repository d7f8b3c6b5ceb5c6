"""The train command: a configuration in, a run folder out."""

import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from omegaconf import DictConfig, OmegaConf

from dvface.config.ablation import baseline_difference
from dvface.config.build import build
from dvface.config.compose import difference, load_with_choices, resolve
from dvface.config.schema import BEGINNINGS, STAGES, TrainSettings, check
from dvface.data.addresses import is_remote, local_path
from dvface.errors import UserError, fault_of_machine
from dvface.files import write_text
from dvface.models.restorer import Restorer, best_device
from dvface.tracking.environment import source_digest
from dvface.tracking.note import NOTE_TAG, final_note, first_note
from dvface.tracking.provenance import DRIFT_TAG, PROVENANCE, provenance, read_provenance, write_provenance
from dvface.tracking.run import NoRun, Run
from dvface.training.beginnings import copy_fork
from dvface.training.chain import Chain
from dvface.training.checks import check_parts
from dvface.training.finish import final_table, finish
from dvface.training.launch import RUN_VARIABLE, check_launch, check_processes, started_rank, wait_for
from dvface.training.plan import plan
from dvface.training.run_folder import (
    RunFolder,
    RunState,
    held,
    is_held,
    read_config,
    read_state,
    write_state,
)

Say = Callable[[str], None]
NOT_COMPARED = {"model", "expected", "name", "runs", "study", "logger", "baseline", "ablates"}
"""Keys that are no parameters in MLflow: said elsewhere in the configuration, or about a run rather than in it."""
GRACE = 10.0
"""Seconds that the first process has to end a run in which another has failed."""


class Store(Protocol):
    """Where runs are tracked."""

    def start_run(self, experiment: str, name: str, tags: dict[str, str], parent: str | None = None) -> Run | NoRun:
        """A new run, part of the run with the id ``parent`` where one is given."""
        ...

    def open_run(self, run_id: str) -> Run | NoRun:
        """A run to go on with."""
        ...


def train(overrides: Sequence[str], say: Say) -> Path | None:
    """Train what the overrides choose; the same words again go on where they were.

    A run that is not finished goes on if it has the name that is given, or, where none is given, if configuration and
    code are what they were: going on then ends with the same numbers as starting anew, only sooner.

    Args:
        overrides: Hydra overrides of ``conf/train.yaml``.
        say: prints a line for the user.

    Returns:
        The run folder; None for a dry run, which makes none.

    Raises:
        UserError: the configuration is wrong; no run folder has been made then.
    """
    tree, chosen = load_with_choices("train", overrides)
    changes = baseline_difference(tree, chosen, overrides)
    make_absolute(tree, Path.cwd())
    settings = check(resolve(tree))
    check_launch(settings)
    if settings.trainer.dry_run:
        _tell(changes, settings, say)
        plan(settings, check_parts(settings), say)
        return None
    if (found := _same_run(tree, settings, say)) is not None:
        if read_state(found).finished:
            say(f"finished before: {found.path}")
            return found.path
        if started_rank():
            return help_run(found.path)
        return resume_run(found.path, say)
    if started_rank():
        check_parts(settings)
        folder = RunFolder(settings.parent / str(settings.name))
        wait_for(folder)
        return help_run(folder.path)
    check_parts(settings)
    _tell(changes, settings, say)
    store: Store = build(settings.logger)  # what it refuses comes before there is a folder
    name = settings.name or datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = _fresh(settings.parent, name, settings.name is not None)
    with held(folder):
        if folder.state.is_file():
            raise UserError(f"{folder.path} has been begun by another process just now; give the same words again")
        record = provenance(build(settings.data.source).manifests(), settings.seed, overrides)
        tags = {"exp": settings.exp, "stage": settings.stage, "run_folder": str(folder.path), **record.tags()}
        if changes:
            tags["ablation"] = "\n".join(changes)
        if settings.fork is not None:
            say(copy_fork(settings, folder))
            tags["fork_of"] = settings.fork
        parent = None
        if settings.study is not None:
            tags |= {"study": settings.study.name, "variant": settings.study.variant, "seed": str(settings.seed)}
            parent = settings.study.parent
        tags[NOTE_TAG] = first_note(settings.exp, record.words(), changes)
        group = "dvface" if settings.study is None else settings.study.name
        run = store.start_run(group, f"{settings.parent.name} {folder.path.name}", tags, parent)
        write_text(folder.config, OmegaConf.to_yaml(tree))
        write_provenance(folder.path, record)
        return _work(settings, folder, run, RunState(run.id, 0.0, finished=False, source=source_digest()), say)


def _tell(changes: Sequence[str], settings: TrainSettings, say: Say) -> None:
    """What the experiment changes against its baseline, if it has one."""
    if changes:
        say(f"against exp={settings.baseline}:")
    for line in changes:
        say(f"  {line}")


def resume_run(path: Path, say: Say) -> Path:
    """Continue an interrupted run from its last checkpoint, with the configuration that it was started with.

    Raises:
        UserError: ``path`` is no unfinished run folder, another process trains in it, or its configuration no longer
            fits this version.
    """
    folder = RunFolder(path.resolve())
    settings = _unfinished(folder)[0]
    check_processes(settings.trainer)
    if started_rank():
        return help_run(folder.path)
    with held(folder):
        settings, state = _unfinished(folder)  # another process may have finished it meanwhile
        run = build(settings.logger).open_run(state.tracking_run)
        if state.source != source_digest():
            say("the code is not what this run was started with: its numbers will be those of two versions")
            run.set_tags({"source_drift": source_digest()})
        _note_drift(settings, folder, run, say)
        return _work(settings, folder, run, state, say)


def _note_drift(settings: TrainSettings, folder: RunFolder, run: Run | NoRun, say: Say) -> None:
    """Keep in what a run that goes on differs from its start; one that began without such a record stays without."""
    began = read_provenance(folder.path)
    if began is None:
        return
    now = provenance(build(settings.data.source).manifests(), settings.seed, began.command)
    write_provenance(folder.path, began.going_on(now))
    if drift := began.drift(now):
        say(f"differs from this run's start: {'; '.join(drift)}")
        run.set_tags({DRIFT_TAG: "\n".join(drift)})


def _unfinished(folder: RunFolder) -> tuple[TrainSettings, RunState]:
    try:
        state = read_state(folder)
    except UserError as error:
        raise UserError(f"resume={folder.path}: {error}") from error
    if state.finished:
        raise UserError(
            f"resume={folder.path}: that run is finished; to train on, say fork={folder.path} and raise its steps"
        )
    return check(resolve(read_config(folder))), state


def help_run(path: Path) -> Path:
    """Train along as a further process of a run: no tracking, no files, no words.

    What goes wrong for all processes at once is the first one's to tell. What goes wrong here alone is left as a note
    for it, and told here if it does not take notice.

    Raises:
        UserError: see `dvface.training.chain.Chain`.
    """
    folder = RunFolder(path)
    settings = check(resolve(read_config(folder)))
    try:
        Chain(settings, folder, NoRun(), lambda line: None).train()
    except UserError as error:
        rank = started_rank() or int(os.environ.get("LOCAL_RANK", "0"))
        write_text(folder.fault(rank), str(error))
        time.sleep(GRACE)
        raise
    except (KeyboardInterrupt, SystemExit):
        return path  # all were told to end; an exit code would make Lightning kill the first one
    return path


def _lines(changed: dict[str, tuple[object, object]]) -> list[str]:
    return [f"{key}: {before} -> {after}" for key, (before, after) in changed.items()]


def make_absolute(tree: DictConfig, directory: Path) -> None:
    """A run must be found again, and find again what it began with, from any working directory.

    Args:
        tree: the composed configuration; its relative paths are replaced.
        directory: where they start.
    """
    names = [*BEGINNINGS, "runs", "data.source.train", "data.source.held_out"]
    parts = OmegaConf.select(tree, "data.source.parts")
    names += [f"data.source.parts.{name!s}.train" for name in (parts if isinstance(parts, DictConfig) else ())]
    for name in names:
        value = OmegaConf.select(tree, name)  # None for what is missing or not there
        if isinstance(value, str | int | float) and not is_remote(str(value)):
            OmegaConf.update(tree, name, str((directory / local_path(str(value))).resolve()))


def _same_run(tree: DictConfig, settings: TrainSettings, say: Say) -> RunFolder | None:
    """The run that these words have begun before; None where they begin one.

    Raises:
        UserError: the name is that of a run with another configuration.
    """
    if settings.name is not None:
        folder = RunFolder(settings.parent / settings.name)
        if not folder.state.is_file():
            return None
        changed = _lines(difference(read_config(folder), tree))
        if changed:
            raise UserError(
                f"name={settings.name}: {folder.path} was started with other settings ({changed[0]}); give another "
                f"name, or go on under new settings with fork={folder.path} and another name"
            )
        return folder
    text, source = OmegaConf.to_yaml(tree), source_digest()
    for path in sorted(settings.parent.glob("*/run.json"), reverse=True):
        folder = RunFolder(path.parent)
        if not folder.config.is_file() or folder.config.read_text(encoding="utf-8") != text:
            continue
        state = read_state(folder)
        if state.finished:
            continue
        if state.source != source:
            say(f"{folder.path}, which these words began, is of other code; go on with it by resume={folder.path}")
            continue
        if is_held(folder):
            say(f"{folder.path}, which these words began, is in the hands of another process; this begins another run")
        else:
            say(f"going on with {folder.path}, which these words began; name=NAME begins another")
            return folder
    return None


def _fresh(parent: Path, name: str, given: bool) -> RunFolder:
    """A folder that no run has; one of a name that was given may be there, left by a process that came to nothing."""
    for suffix in ("", *(f"-{number}" for number in range(2, 100))):
        try:
            (parent / f"{name}{suffix}").mkdir(parents=True, exist_ok=given)
        except FileExistsError:
            continue
        folder = RunFolder(parent / f"{name}{suffix}")
        if folder.path.joinpath("stages").exists() and not folder.state.is_file():
            raise UserError(f"{folder.path} holds stages and is no run; remove it, or give another name")
        return folder
    raise UserError(f"{parent} already has 99 runs of this second; try again")


def _work(settings: TrainSettings, folder: RunFolder, run: Run | NoRun, state: RunState, say: Say) -> Path:
    started = time.monotonic()

    def seconds() -> float:
        return state.seconds + time.monotonic() - started

    os.environ[RUN_VARIABLE] = str(folder.path)
    for old in folder.faults():
        old.unlink()
    write_state(folder, state)
    try:
        with run:
            run.log_params(settings.model_dump(exclude=NOT_COMPARED))
            run.log_artifact(folder.config)
            if (record := folder.path / PROVENANCE).is_file():
                run.log_artifact(record)
            trained = Chain(settings, folder, run, say).train()
            run.log_metrics({"total_parameters": trained.parameter_counts()["total"]}, step=0)
            if settings.chosen_stages[-1] == STAGES[-1]:
                pairs = build(settings.data.source).held_out()
                untrained: Restorer = build(settings.model)
                build(settings.pretrained).load(untrained)
                device = "cpu" if settings.trainer.accelerator == "cpu" else best_device()
                untrained, trained = untrained.eval().to(device), trained.to(device)
                result = finish(folder.path, pairs, untrained, trained, settings.metrics, run, seconds)
                say(final_table(result).text())
                run.set_tags({NOTE_TAG: final_note(run.tag(NOTE_TAG), final_table(result))})
                for name, reason in result["left_out"].items():
                    say(f"left out: {name}: {reason}")
        write_state(folder, replace(state, seconds=seconds(), finished=True))
    except BaseException as error:
        with suppress(OSError):  # of a full disk, which is what the first error tells
            write_state(folder, replace(state, seconds=seconds()))
        if isinstance(error, RuntimeError) and (faults := folder.faults()):
            # A collective broke off because another process had failed.
            raise UserError(faults[0].read_text(encoding="utf-8")) from error
        if (reason := _machine_s_reason(error)) is not None:
            raise UserError(
                f"{folder.path} cannot be written on ({reason}); the last checkpoint is untouched: make room and give "
                "the same words again"
            ) from error
        if isinstance(error, KeyboardInterrupt | SystemExit):
            say(f"interrupted; go on with the same words, or with: dvface train resume={folder.path}")
        raise
    finally:
        del os.environ[RUN_VARIABLE]  # what this process starts from now on is no part of the run
    return folder.path


def _machine_s_reason(error: BaseException | None) -> str | None:
    """Why this machine cannot keep what a run writes, if that is what an error is at bottom about."""
    while error is not None and not isinstance(error, UserError):
        if isinstance(error, OSError) and fault_of_machine(error):
            return str(error.strerror)
        if isinstance(error, sqlite3.OperationalError):
            return str(error)
        error = error.__cause__ or error.__context__
    return None
