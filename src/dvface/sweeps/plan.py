"""What each job would be: composed and checked before the first one starts."""

import json
import multiprocessing
import signal
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from dvface.sweeps.jobs import Job
from dvface.tracking.store import TrackingStore

Result = TypeVar("Result")


@dataclass(frozen=True)
class Begun:
    """What a job's run folder holds already.

    Attributes:
        finished: whether the run in it is finished.
        seconds: that it took so far.
        source: SHA-256 of the code that it was begun with.
        changed: keys in which its configuration is another than the job's.
    """

    finished: bool
    seconds: float
    source: str
    changed: tuple[str, ...]


@dataclass(frozen=True)
class Plan:
    """A job whose configuration is right.

    Attributes:
        job: what to run.
        runs: the folder for run folders, absolute.
        logger: where the run is tracked, as in the configuration.
        begun: the run that its folder holds, if it holds one.
    """

    job: Job
    runs: Path
    logger: dict[str, Any]
    begun: Begun | None

    @property
    def finished(self) -> bool:
        """Whether the run folder holds a finished run of the same configuration."""
        return self.begun is not None and self.begun.finished and not self.begun.changed


def plan(jobs: Mapping[str, Sequence[str]]) -> dict[str, Plan | str]:
    """For each job its plan, or the sentence that says what is wrong with its words.

    Args:
        jobs: label to the words of `dvface train`, the name of the run among them.
    """
    return {label: _plan(label, words) for label, words in jobs.items()}


def without_mistakes(
    planned: Mapping[str, Result | str], say: Callable[[str], None], kind: str = "job"
) -> dict[str, Result]:
    """What was planned, where none of it is a sentence about a mistake.

    Args:
        planned: label to what was made of it, as by `plan`.
        say: prints a line for the user; one for each mistake where they are several.
        kind: what the labels stand for.

    Raises:
        UserError: there are mistakes.
    """
    mistakes = {label: found for label, found in planned.items() if isinstance(found, str)}
    if len(mistakes) == len(planned) and len(set(mistakes.values())) == 1:
        raise UserError(next(iter(mistakes.values())))  # of what all share
    for label, sentence in mistakes.items():
        if len(mistakes) == 1:
            raise UserError(f"the {kind} {label}: {sentence}")
        say(f"{label}: {sentence}")
    if mistakes:
        raise UserError(f"{len(mistakes)} of {len(planned)} {kind}s have a wrong configuration; nothing was started")
    return {label: found for label, found in planned.items() if not isinstance(found, str)}


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


def _plan(label: str, words: Sequence[str]) -> Plan | str:
    try:
        tree = load("train", words)
        tree.runs = str(Path(str(tree.runs)).resolve())
        settings = check(resolve(tree))
    except UserError as error:
        return str(error)
    folder = settings.parent / str(settings.name)
    command = (sys.executable, "-m", "dvface.cli.main", "train", *words)
    job = Job(label, command, folder, settings.trainer.nodes, settings.trainer.devices)
    return Plan(job, Path(settings.runs), settings.logger, _begun(folder, tree))


def _begun(folder: Path, tree: DictConfig) -> Begun | None:
    """The run in ``folder``, whose configuration should be ``tree``. In doubt none: training looks more closely."""
    try:
        state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        stored = OmegaConf.load(folder / "config.yaml")
        if not isinstance(stored, DictConfig):
            return None
        changed = tuple(difference(tree, stored))
        return Begun(state["finished"] is True, float(state["seconds"]), str(state["source"]), changed)
    except (OSError, ValueError, TypeError, KeyError, YAMLError):
        return None
