"""What each job of a sweep would be: composed and checked before the first one starts."""

import json
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from dvface.config.build import build
from dvface.config.compose import difference, load, resolve
from dvface.config.schema import check
from dvface.errors import UserError
from dvface.sweeps.expansion import Combination, job_name
from dvface.sweeps.jobs import Job
from dvface.tracking.store import TrackingStore

Result = TypeVar("Result")


@dataclass(frozen=True)
class Plan:
    """A job whose configuration is right.

    Attributes:
        job: what to run.
        runs: the folder for run folders, absolute.
        logger: where the run is tracked, as in the configuration.
        finished: whether its run folder holds a finished run of the same configuration.
    """

    job: Job
    runs: Path
    logger: dict[str, Any]
    finished: bool


def plan(combinations: Sequence[Combination]) -> list[Plan | str]:
    """For each job its plan, or the sentence that says what is wrong with its overrides."""
    return [_plan(combination) for combination in combinations]


def initialise_stores(loggers: Sequence[dict[str, Any]]) -> None:
    """Create new tracking stores: several jobs that did so at once would break them."""
    for logger in loggers:
        store = build(logger)
        if isinstance(store, TrackingStore):
            store.initialise()


@contextmanager
def apart() -> Iterator[Callable[..., Any]]:
    """Yields a function that calls another in a process of its own, which ends with the context.

    Checking a configuration imports what it names, PyTorch and all; a sweep, which may wait for days, should not hold
    that in memory.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, context, signal.signal, (signal.SIGINT, signal.SIG_IGN)) as pool:
        yield lambda function, *arguments: pool.submit(function, *arguments).result()


def _plan(combination: Combination) -> Plan | str:
    name = job_name(combination.overrides)
    words = [*combination.overrides, f"name='{name}'"]
    try:
        tree = load("train", words)
        tree.runs = str(Path(str(tree.runs)).resolve())
        settings = check(resolve(tree))
    except UserError as error:
        return str(error)
    runs = Path(settings.runs)
    folder = runs / settings.exp / name
    command = (sys.executable, "-m", "dvface.cli.main", "train", *words)
    job = Job(combination.label, command, folder, settings.trainer.nodes, settings.trainer.devices)
    return Plan(job, runs, settings.logger, _finished(folder, tree))


def _finished(folder: Path, tree: DictConfig) -> bool:
    """Whether ``folder`` holds a finished run of ``tree``. In doubt it does not: training looks more closely."""
    try:
        state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        stored = OmegaConf.load(folder / "config.yaml")
    except (OSError, ValueError, YAMLError):
        return False
    return (
        isinstance(state, dict)
        and state.get("finished") is True
        and isinstance(stored, DictConfig)
        and not difference(tree, stored)
    )
