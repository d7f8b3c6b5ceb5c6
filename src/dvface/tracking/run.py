"""One MLflow run: what is recorded in it and how it ends."""

from __future__ import annotations

import math
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Metric

Status = Literal["FINISHED", "FAILED", "KILLED"]

# Limits of MLflow 3 (mlflow/utils/validation.py).
LONGEST_VALUE = 6000
LONGEST_TAG = 8000
LONGEST_NAME = 250

DRIFT_TAG = "param_drift"
NON_FINITE_TAG = "non_finite"


def clean_name(name: str) -> str:
    """``name`` with every character that MLflow refuses replaced by ``_`` and without empty path parts."""
    parts = re.sub(r"[^\w/. -]", "_", name).split("/")
    return "/".join(part for part in parts if part.strip("."))[:LONGEST_NAME] or "_"


def flatten(mapping: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted key, value) pairs of a nested mapping; an empty mapping is a value."""
    for key, value in mapping.items():
        if isinstance(value, Mapping) and value:
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


class Run:
    """A run that is open for recording; as a context manager it ends with the status the block deserves.

    Args:
        client: connection to the store that holds the run.
        run_id: the run's MLflow id.
        flush_every: metric values collected before they are written in one batch.
    """

    def __init__(self, client: MlflowClient, run_id: str, flush_every: int = 50) -> None:
        self.client = client
        self._flush_every = flush_every
        self._buffer: list[Metric] = []
        self._infinite = 0
        self.id = run_id

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Record a nested mapping under dotted keys; values are cut at 6000 characters.

        MLflow never changes a parameter. When a resumed run brings another value, the first one stays and the
        tag ``param_drift`` gains a line ``key: 'first' -> 'new'``.
        """
        from mlflow.entities import Param

        data = self.client.get_run(self.id).data
        values = {clean_name(key): str(value)[:LONGEST_VALUE] for key, value in flatten(parameters)}
        fresh = [Param(key, value) for key, value in values.items() if key not in data.params]
        self.client.log_batch(self.id, params=fresh)
        drift = [
            f"{key}: {data.params[key]!r} -> {value!r}"
            for key, value in values.items()
            if data.params.get(key, value) != value
        ]
        if drift:
            known = data.tags.get(DRIFT_TAG, "").splitlines()
            self.set_tags({DRIFT_TAG: "\n".join(dict.fromkeys([*known, *drift]))})

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record numbers of one step; they are written with the next batch.

        NaN is recorded. MLflow would store an infinite value as 1.8e308: it is left out, and the tag
        ``non_finite`` counts it.
        """
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        for name, value in metrics.items():
            number = float(value)
            if math.isinf(number):
                self._infinite += 1
            else:
                self._buffer.append(Metric(clean_name(name), number, now, step))
        if len(self._buffer) >= self._flush_every:
            self.flush()

    def steps(self, name: str) -> set[int]:
        """The steps at which a metric has been recorded."""
        return {metric.step for metric in self.client.get_metric_history(self.id, clean_name(name))}

    def flush(self) -> None:
        """Write the collected metrics now; what could not be written stays collected."""
        self.client.log_batch(self.id, metrics=self._buffer)
        self._buffer = []
        if self._infinite:
            before = int(self.client.get_run(self.id).data.tags.get(NON_FINITE_TAG, 0))
            self.set_tags({NON_FINITE_TAG: str(before + self._infinite)})
            self._infinite = 0

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """Copy a file into the run's artifacts, below ``folder``."""
        self.client.log_artifact(self.id, str(path), folder or None)

    def tag(self, name: str) -> str:
        """What a tag says; empty where there is none."""
        return str(self.client.get_run(self.id).data.tags.get(name, ""))

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set tags, each cut at 8000 characters; a tag may change."""
        for key, value in tags.items():
            self.client.set_tag(self.id, clean_name(key), value[:LONGEST_TAG])

    def finish(self, status: Status = "FINISHED") -> None:
        """Write what is collected and close the run with ``status``."""
        try:
            self.flush()
        finally:
            self.client.set_terminated(self.id, status)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish("FINISHED")
        else:
            self.finish("KILLED" if issubclass(kind, KeyboardInterrupt | SystemExit) else "FAILED")


class NoRun:
    """A run that records nothing, for work that nobody wants to track."""

    id = "none"

    def log_params(self, parameters: Mapping[str, Any]) -> None:
        """Record nothing."""

    def log_metrics(self, metrics: Mapping[str, float], step: int) -> None:
        """Record nothing."""

    def steps(self, name: str) -> set[int]:
        """None has been recorded."""
        return set()

    def flush(self) -> None:
        """Write nothing."""

    def log_artifact(self, path: str | Path, folder: str = "") -> None:
        """Copy nothing."""

    def tag(self, name: str) -> str:
        """It has none."""
        return ""

    def set_tags(self, tags: Mapping[str, str]) -> None:
        """Set nothing."""

    def finish(self, status: Status = "FINISHED") -> None:
        """Close nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.finish()
