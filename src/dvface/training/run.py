"""The train command: a configuration in, a run folder out."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig, OmegaConf

from dvface.config.build import build
from dvface.config.compose import difference, load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.data.datamodule import Source
from dvface.errors import UserError
from dvface.files import write_text
from dvface.models.restorer import Restorer
from dvface.tracking.environment import provenance
from dvface.tracking.run import NoRun, Run
from dvface.training.chain import Chain, RunFolder, read_state, write_state
from dvface.training.finish import final_table, finish


class Store(Protocol):
    """Where runs are tracked."""

    def start_run(self, experiment: str, name: str, tags: dict[str, str]) -> Run | NoRun:
        """A new run."""
        ...

    def open_run(self, run_id: str) -> Run | NoRun:
        """A run to go on with."""
        ...


def new_run(tree: DictConfig, say: Callable[[str], None]) -> Path:
    """Train what ``tree`` describes in a new run folder.

    Args:
        tree: composed, unresolved.
        say: prints a line for the user.

    Returns:
        The run folder.

    Raises:
        UserError: the configuration is wrong; nothing has been written then.
    """
    settings = check(resolve(tree))
    changes = baseline_difference(tree)
    for line in changes:
        say(line)
    build(settings.model)  # a part that refuses its numbers does so before any folder is made
    store: Store = build(settings.logger)
    name = datetime.now().strftime("%Y%m%d-%H%M%S")
    folder = RunFolder(_fresh(Path(settings.runs) / settings.exp, name))
    tags = {"exp": settings.exp, "stage": settings.stage, "run_folder": str(folder.path), **provenance()}
    if changes:
        tags["ablation"] = "\n".join(changes)
    run = store.start_run("dvface", f"{settings.exp} {name}", tags)
    write_text(folder.config, OmegaConf.to_yaml(tree))
    write_state(folder, run, 0.0)
    return _work(settings, folder, run, 0.0, say)


def resume_run(path: Path, say: Callable[[str], None]) -> Path:
    """Continue an interrupted run from its last checkpoint, with the configuration that it was started with.

    Raises:
        UserError: ``path`` is no run folder, or its configuration no longer fits this version.
    """
    folder = RunFolder(path)
    state = read_state(folder)
    tree = OmegaConf.load(folder.config)
    assert isinstance(tree, DictConfig)
    settings = check(resolve(tree))
    if folder.metrics.is_file():
        raise UserError(f"resume={path}: that run is finished; start another with exp={settings.exp}")
    run = build(settings.logger).open_run(state["tracking_run"])
    return _work(settings, folder, run, float(state["seconds"]), say)


def baseline_difference(tree: DictConfig) -> list[str]:
    """What an ablation changes against its baseline, a line a key; empty without a baseline."""
    if tree.baseline is None:
        return []
    changed = difference(load("train", [f"exp={tree.baseline}"]), tree)
    return [f"{key}: {before} -> {after}" for key, (before, after) in changed.items()]


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

    guard: AbstractContextManager[Any] = run
    try:
        with guard:
            run.log_params(settings.model_dump(exclude={"model"}))
            run.log_artifact(folder.config)
            chain = Chain(settings, folder, run)
            trained = chain.train()
            run.log_metrics({"total_parameters": trained.parameter_counts()["total"]}, step=0)
            if settings.chosen_stages[-1] == "restorer":
                source: Source = build(settings.data.source)
                untrained: Restorer = build(deepcopy(settings.model)).eval()
                result = finish(folder.path, source.held_out(), untrained, trained, settings.metrics, run, seconds)
                say(final_table(result).text())
                for name, reason in result["left_out"].items():
                    say(f"left out: {name}: {reason}")
    finally:
        write_state(folder, run, seconds())
    return folder.path
