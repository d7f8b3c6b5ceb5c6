"""Runs recorded here first, and mirrored to an MLflow server as far as it can be reached."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from dvface.tracking.mirror import CALM
from dvface.tracking.run import Run, Status
from dvface.tracking.store import SqliteStore
from dvface.tracking.sync import server_address


class MirroredStore(SqliteStore):
    """The store in ``root``, of which every run is brought to a server in the background.

    A server that is down, slow or lost changes nothing about the run; what it lacks is brought there later by
    ``dvface sync``.

    Args:
        root: the folder.
        uri: the server's tracking URI; None takes the environment's ``MLFLOW_TRACKING_URI``.
        every: least seconds between two looks at what is new.
        patience: seconds that a run which has ended may wait for the server.

    Raises:
        UserError: there is no address, or it has a password in it.
        ValueError: ``every`` or ``patience`` is not above 0.
    """

    def __init__(self, root: str | Path, uri: str | None, every: float, patience: float) -> None:
        super().__init__(root)
        if every <= 0 or patience <= 0:
            raise ValueError(f"every={every} and patience={patience}: give seconds above 0")
        self.root = Path(root).resolve()
        self.address = server_address(uri, "logger.uri")
        self.every = every
        self.patience = patience

    def start_run(self, experiment: str, name: str, tags: Mapping[str, str], parent: str | None = None) -> Run:
        """See the base class."""
        return self._mirrored(super().start_run(experiment, name, tags, parent))

    def open_run(self, run_id: str) -> Run:
        """See the base class."""
        return self._mirrored(super().open_run(run_id))

    def _mirrored(self, run: Run) -> Run:
        return MirroredRun(run, self)


class MirroredRun(Run):
    """A run of which a process of its own keeps a copy on the server up to date.

    Args:
        run: as the local store began it.
        store: where, and how often, it is mirrored.
    """

    def __init__(self, run: Run, store: MirroredStore) -> None:
        super().__init__(run.client, run.id)
        self._store = store
        words = [str(store.root), run.id, store.address, str(store.every)]
        self._process = subprocess.Popen(  # noqa: S603 - a list of our own words, no shell
            [sys.executable, "-m", "dvface.tracking.mirror", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={**CALM, **os.environ},
            start_new_session=True,  # Ctrl-C is for training, which then says that the run has ended
        )

    def finish(self, status: Status = "FINISHED") -> None:
        """See the base class; then the server gets the rest, as long as patience lasts."""
        try:
            super().finish(status)
        finally:
            self._end_mirror()

    def _end_mirror(self) -> None:
        if self._process.returncode is not None:
            return  # ended before
        whole = False
        try:
            with suppress(subprocess.TimeoutExpired, KeyboardInterrupt):  # who presses Ctrl-C now is tired of waiting
                self._process.communicate(b"\n", timeout=self._store.patience)
                whole = self._process.returncode == 0
        finally:
            self._process.kill()
            self._process.wait()
        if not whole:
            command = f"dvface sync to={self._store.address} runs={self._store.root} run={self.id}"
            print(f"MLflow: not all of this run is on the server; later: {command}", file=sys.stderr)
