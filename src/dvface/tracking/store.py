"""Where MLflow runs are kept, and how they are found again."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from filelock import FileLock

from dvface.errors import UserError, nearest
from dvface.tracking.run import NoRun, Run

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Experiment
    from mlflow.entities import Run as StoredRun
    from mlflow.store.entities import PagedList

Found = TypeVar("Found")

PARENT_TAG = "mlflow.parentRunId"


@dataclass(frozen=True)
class RunSummary:
    """What a store knows of one run.

    Attributes:
        id: MLflow's id.
        name: the name given at the start.
        experiment: name of the experiment it belongs to.
        status: RUNNING, FINISHED, FAILED or KILLED.
        start: when it began, UTC.
        end: when it ended, UTC; None while it runs.
        tags: all tags.
        params: dotted keys to text.
        metrics: last value of each metric.
    """

    id: str
    name: str
    experiment: str
    status: str
    start: datetime
    end: datetime | None
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, float]


class TrackingStore:
    """An MLflow tracking store.

    The first use opens the database under a file lock, since two processes that create one new database at
    once break it.

    Args:
        uri: MLflow tracking URI, e.g. ``sqlite:///folder/mlflow.db``.
        artifact_root: folder of the artifacts; each run gets ``artifact_root/<run id>/artifacts``.
    """

    def __init__(self, uri: str, artifact_root: Path) -> None:
        self.uri = uri
        self.artifact_root = artifact_root.resolve()

    def initialise(self) -> None:
        """Create the database if it is new; call it once before starting several processes.

        Raises:
            UserError: the folder cannot be written or the store cannot be opened.
        """
        self.client.search_experiments(max_results=1)

    def start_run(self, experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None) -> Run:
        """Begin a run; a new experiment is created.

        Args:
            experiment: name of the experiment; a run with a parent is in the parent's, else no page would nest it.
            name: the run's name.
            tags: what the run is found by.
            parent: id of the run that this one is part of, as in a study.
        """
        lineage = {PARENT_TAG: parent} if parent else {}
        experiment_id = self._experiment_id(experiment) if parent is None else self._experiment_of(parent)
        created = self.client.create_run(experiment_id, run_name=name, tags={**tags, **lineage})
        return Run(self.client, created.info.run_id)

    def open_run(self, run_id: str) -> Run:
        """Resume a run: its status is RUNNING again.

        Raises:
            UserError: the store holds no such run.
        """
        client = self.client
        with _refusals(f"run {run_id} cannot be resumed from {self.uri}; give the id of a stored run"):
            client.update_run(run_id, status="RUNNING")
        return Run(client, run_id)

    def runs(self, experiment: str | None = None, filter: str = "") -> list[RunSummary]:
        """Stored runs, oldest first.

        Args:
            experiment: only this experiment's; all by default.
            filter: MLflow search expression, e.g. ``tags.study = 'ablation'``.

        Raises:
            UserError: there is no such experiment, or the filter is not understood.
        """
        known = {found.experiment_id: found.name for found in self._experiments()}
        experiments = {number: name for number, name in known.items() if experiment in (None, name)}
        if not experiments:
            hint = nearest(str(experiment), known.values())
            raise UserError(f"{self.uri} holds no experiment '{experiment}'{hint}; choose one of its experiments")
        with _refusals(f"the filter {filter!r} is not an MLflow search expression"):
            return [
                _summary(run, experiments[run.info.experiment_id]) for run in self._search(list(experiments), filter)
            ]

    @cached_property
    def client(self) -> MlflowClient:
        """The connection to the store."""
        try:
            self.artifact_root.mkdir(parents=True, exist_ok=True)
            with self._lock:
                return open_client(self.uri)
        except OSError as error:
            raise UserError(
                f"tracking folder {self.artifact_root} cannot be written ({error}); choose another folder"
            ) from error

    @property
    def _lock(self) -> FileLock:
        return FileLock(self.artifact_root / ".lock")

    def _experiment_id(self, name: str) -> str:
        client = self.client
        # Under the lock, since two processes may begin a new experiment at once.
        with self._lock, _refusals(f"experiment '{name}' cannot be used"):
            known = client.get_experiment_by_name(name)
            if known is None:
                return client.create_experiment(name, artifact_location=self.artifact_root.as_uri())
        if known.lifecycle_stage != "active":
            raise UserError(f"experiment '{name}' was deleted from {self.uri}; restore it or choose another name")
        return known.experiment_id

    def _experiment_of(self, run_id: str) -> str:
        with _refusals(f"run {run_id} cannot be a parent"):
            return str(self.client.get_run(run_id).info.experiment_id)

    def _experiments(self) -> list[Experiment]:
        return _all_pages(lambda token: self.client.search_experiments(page_token=token))

    def _search(self, experiment_ids: list[str], filter: str) -> list[StoredRun]:
        return _all_pages(
            lambda token: self.client.search_runs(
                experiment_ids, filter, order_by=["attributes.start_time ASC"], page_token=token
            )
        )


class SqliteStore(TrackingStore):
    """The store in ``root``: runs in ``root/mlflow.db``, artifacts in ``root/mlartifacts``.

    Args:
        root: the folder.
    """

    def __init__(self, root: str | Path) -> None:
        folder = Path(root).resolve()
        super().__init__(f"sqlite:///{(folder / 'mlflow.db').as_posix()}", folder / "mlartifacts")


def open_client(uri: str) -> MlflowClient:
    """Connect to ``uri``; a new database gets its tables."""
    # Before the import, where MLflow reads them; what the user has set stays.
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "CRITICAL")  # what it refuses becomes our own sentence
    from mlflow import MlflowClient

    with _refusals(f"tracking store {uri} cannot be opened"):
        return MlflowClient(tracking_uri=uri)


@contextmanager
def _refusals(mistake: str) -> Iterator[None]:
    """Turn what MLflow refuses into a `UserError` that begins with ``mistake``."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException as error:
        raise UserError(f"{mistake}: {str(error).splitlines()[0]}") from error


def _all_pages(page_after: Callable[[str | None], PagedList[Found]]) -> list[Found]:
    """Everything that a paged search finds; ``page_after(token)`` fetches one page."""
    page = page_after(None)
    found = list(page)
    while page.token:
        page = page_after(page.token)
        found += page
    return found


def _summary(run: StoredRun, experiment: str) -> RunSummary:
    return RunSummary(
        id=run.info.run_id,
        name=run.info.run_name,
        experiment=experiment,
        status=run.info.status,
        start=_moment(run.info.start_time),
        end=_moment(run.info.end_time) if run.info.end_time else None,
        tags=run.data.tags,
        params=run.data.params,
        metrics=run.data.metrics,
    )


def _moment(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, tz=UTC)


class NoStore:
    """A store that keeps nothing, for runs that nobody wants to track."""

    def start_run(self, experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None) -> NoRun:
        """A run that records nothing."""
        return NoRun()

    def open_run(self, run_id: str) -> NoRun:
        """A run that records nothing."""
        return NoRun()
