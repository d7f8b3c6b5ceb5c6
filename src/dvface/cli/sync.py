"""`dvface sync`: runs of this machine's store brought to an MLflow server."""

import os
from collections.abc import Sequence
from pathlib import Path

from dvface.cli.words import own_only
from dvface.errors import UserError
from dvface.report.progress import Progress
from dvface.tracking.mirror import short_reason
from dvface.tracking.store import SqliteStore
from dvface.tracking.sync import Sync, server_address

REQUESTS = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "30", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
"""MLflow's own would let a server that is down be noticed after minutes."""


def sync(overrides: Sequence[str]) -> None:
    """Bring every run, or the one that is named, up to date on the server."""
    own = own_only(overrides, {"to": "", "run": "", "runs": "runs"})
    address, runs = server_address(own["to"], "to"), Path(own["runs"])
    if not (runs / "mlflow.db").is_file():
        raise UserError(f"{runs} has no tracking store yet; run: dvface train")
    for name, value in REQUESTS.items():
        os.environ.setdefault(name, value)
    from mlflow.exceptions import MlflowException

    from dvface.cli.runs import tracked_run

    store = SqliteStore(runs)
    chosen = [tracked_run(own["run"], runs)] if own["run"] else store.runs()
    copies = Sync(store, address)
    new = changed = deleted = 0
    with Progress("sync runs", total=len(chosen)) as bar:
        for number, run in enumerate(chosen):
            try:
                sent = copies.copy(run.id)
            except (MlflowException, OSError) as error:
                raise UserError(
                    f"{address} cannot be reached or refuses run {run.name} ({short_reason(error)}); {number} of "
                    f"{len(chosen)} runs are there, and the same command goes on"
                ) from error
            new += sent.created
            changed += not sent.created and sent.items > 0
            deleted += sent.deleted
            bar.advance(note=run.name)
    rest = len(chosen) - new - changed - deleted
    print(f"{address}: {new} new, {changed} brought up to date, {rest} unchanged of {len(chosen)} runs")
    if deleted:
        print(f"{deleted} were deleted there and stay so; restore them there to bring them up to date")
