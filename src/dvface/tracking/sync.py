"""Runs of one tracking store brought into another; what is there already is not sent again."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from dvface.errors import UserError
from dvface.tracking.store import PARENT_TAG, SqliteStore, open_client

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric
    from mlflow.entities import Run as StoredRun

SOURCE_TAG = "synced_from"
"""Of a copy: the id of the run that it was made of, by which it is found again."""
POINTS_TAG = "synced_points"
"""Of a copy: how many values its curves had when all of them had arrived."""
TIME_TAG = "synced_at"
"""Of a copy: when its artifacts were last looked at, in milliseconds since 1970."""
OWN_TAGS = (SOURCE_TAG, POINTS_TAG, TIME_TAG)

SERVER_VARIABLE = "MLFLOW_TRACKING_URI"
POINTS_AT_ONCE = 1000

Point = tuple[str, int, int, str]
"""A metric's name, step, time and value; the value as text, since NaN equals nothing."""


@dataclass
class Sent:
    """What one call of `Sync.copy` had to send.

    Attributes:
        created: whether the run was not there before.
        deleted: whether it was deleted there; nothing was sent then.
        items: parameters, metric values, tags, artifacts and changes of state.
    """

    created: bool = False
    deleted: bool = False
    items: int = 0


def server_address(given: str | None, key: str) -> str:
    """The address of a tracking server: the one given, else that of the environment.

    Args:
        given: by the user; None or empty where nothing was.
        key: how the user gives it, for messages.

    Raises:
        UserError: there is none, or it has a password in it, which would be kept with every run.
    """
    address = given or os.environ.get(SERVER_VARIABLE, "")
    if not address:
        raise UserError(f"{key} has no value; give {key}=http://HOST:5000, or set {SERVER_VARIABLE}")
    parts = urlsplit(address)
    if "@" in parts.netloc and parts.scheme in ("http", "https"):
        raise UserError(
            f"{key}: an address with a password would be kept with every run; give it without, and set "
            "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
        )
    return address


class Sync:
    """Copies runs of a local store, with parameters, curves, tags, artifacts, parents, times, names and states.

    A copy has an id of its own, which the server gives, and is found by its tag ``synced_from``. A call that is cut
    short leaves a part of a run; the next one sends the rest.

    Args:
        source: the local store.
        address: tracking URI of the other one.
    """

    def __init__(self, source: SqliteStore, address: str) -> None:
        self._root = source.artifact_root
        self._source = source.client
        self._target: MlflowClient = open_client(address)
        self._experiments: dict[str, str] = {}
        self._copies: dict[str, str] = {}
        self._points: dict[str, set[Point]] = {}

    def copy(self, run_id: str) -> Sent:
        """Bring one run, and if need be its parents, up to date.

        Args:
            run_id: its id in the local store.

        Raises:
            MlflowException: the server cannot be reached or refuses; or an OSError.
            UserError: the run's experiment was deleted on the server.
        """
        # The mirror of a training and `dvface sync` must not make two copies.
        with FileLock(self._root / f".sync-{run_id}.lock"):
            run, sent = self._source.get_run(run_id), Sent()
            copy = self._target.get_run(self._copy_of(run, sent))
            if copy.info.lifecycle_stage == "deleted":
                return Sent(deleted=True)
            sent.items += self._send_parameters(run, copy)
            sent.items += self._send_points(run, copy)
            sent.items += self._send_artifacts(run, copy)
            sent.items += self._send_tags(run, copy)
            sent.items += self._send_state(run, copy)
            return sent

    def _copy_of(self, run: StoredRun, sent: Sent) -> str:
        """Id of the run's copy, made where there is none."""
        from mlflow.entities import ViewType

        own = run.info.run_id
        if own not in self._copies:
            experiment = self._experiment(run.info.experiment_id)
            found = [*self._target.search_runs([experiment], f"tags.{SOURCE_TAG} = '{own}'", ViewType.ALL, 1)]
            if not found:
                tags = {**self._tags(run), SOURCE_TAG: own}
                found = [self._target.create_run(experiment, run.info.start_time, tags, run.info.run_name)]
                sent.created = True
            self._copies[own] = found[0].info.run_id
        return self._copies[own]

    def _experiment(self, number: str) -> str:
        """Id of the experiment of the same name, made where there is none; its tags are brought along."""
        if number not in self._experiments:
            own = self._source.get_experiment(number)
            other = self._target.get_experiment_by_name(own.name)
            if other is not None and other.lifecycle_stage != "active":
                raise UserError(f"experiment '{own.name}' was deleted on the server; restore it there")
            found = self._target.create_experiment(own.name) if other is None else other.experiment_id
            for key, value in own.tags.items():
                if other is None or other.tags.get(key) != value:
                    self._target.set_experiment_tag(found, key, value)
            self._experiments[number] = found
        return self._experiments[number]

    def _tags(self, run: StoredRun) -> dict[str, str]:
        """The tags that the copy should have; its parent is the copy of the run's parent."""
        tags = {key: value for key, value in run.data.tags.items() if key not in OWN_TAGS}
        if parent := tags.get(PARENT_TAG):
            tags[PARENT_TAG] = self._copy_of(self._source.get_run(parent), Sent())
        return tags

    def _send_parameters(self, run: StoredRun, copy: StoredRun) -> int:
        from mlflow.entities import Param

        fresh = [Param(key, value) for key, value in run.data.params.items() if key not in copy.data.params]
        if fresh:
            self._target.log_batch(copy.info.run_id, params=fresh)
        return len(fresh)

    def _send_points(self, run: StoredRun, copy: StoredRun) -> int:
        from mlflow.entities import Metric, RunTag

        points = _history(self._source, run)
        if copy.data.tags.get(POINTS_TAG) == str(len(points)):
            return 0  # a store forgets no value, so equally many are the same
        target = copy.info.run_id
        if target not in self._points:
            self._points[target] = {_point(one) for one in _history(self._target, copy)}
        known = self._points[target]
        fresh = sorted((one for one in points if _point(one) not in known), key=lambda one: (one.timestamp, one.step))
        for first in range(0, len(fresh), POINTS_AT_ONCE):
            some = fresh[first : first + POINTS_AT_ONCE]
            metrics = [Metric(one.key, one.value, one.timestamp, one.step) for one in some]
            self._target.log_batch(target, metrics=metrics)
            known.update(map(_point, some))
        self._target.log_batch(target, tags=[RunTag(POINTS_TAG, str(len(points)))])
        return len(fresh)

    def _send_artifacts(self, run: StoredRun, copy: StoredRun) -> int:
        folder = self._root / run.info.run_id / "artifacts"
        files = sorted(path for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else []
        if not files:
            return 0
        now, last = int(time.time() * 1000), int(copy.data.tags.get(TIME_TAG, 0))
        target = copy.info.run_id
        there = dict(_artifacts(self._target, target))
        fresh = [path for path in files if _is_new(path, there.get(path.relative_to(folder).as_posix()), last)]
        for path in fresh:
            parent = PurePosixPath(path.relative_to(folder).as_posix()).parent
            self._target.log_artifact(target, str(path), None if str(parent) == "." else str(parent))
        if fresh:
            self._target.set_tag(target, TIME_TAG, str(now))
        return len(fresh)

    def _send_tags(self, run: StoredRun, copy: StoredRun) -> int:
        from mlflow.entities import RunTag

        fresh = [RunTag(key, value) for key, value in self._tags(run).items() if copy.data.tags.get(key) != value]
        if fresh:
            self._target.log_batch(copy.info.run_id, tags=fresh)
        return len(fresh)

    def _send_state(self, run: StoredRun, copy: StoredRun) -> int:
        before, after, target = copy.info, run.info, copy.info.run_id
        if after.status == "RUNNING":
            if before.status != after.status:
                self._target.update_run(target, status=after.status)
        elif (before.status, before.end_time) != (after.status, after.end_time):
            self._target.set_terminated(target, after.status, after.end_time)
        return int(before.status != after.status)


def _history(client: MlflowClient, run: StoredRun) -> list[Metric]:
    """Every value of every metric of a run."""
    return [one for name in run.data.metrics for one in client.get_metric_history(run.info.run_id, name)]


def _point(one: Metric) -> Point:
    return one.key, one.step, one.timestamp, repr(float(one.value))


def _artifacts(client: MlflowClient, run_id: str, folder: str | None = None) -> Iterator[tuple[str, int]]:
    """Path and size of every artifact below ``folder``."""
    for found in client.list_artifacts(run_id, folder):
        if found.is_dir:
            yield from _artifacts(client, run_id, found.path)
        else:
            yield found.path, int(found.file_size or 0)


def _is_new(path: Path, size: int | None, last: int) -> bool:
    """Whether a file is not what the copy has, which was last looked at ``last`` milliseconds after 1970."""
    state = path.stat()
    return state.st_size != size or state.st_mtime * 1000 > last
