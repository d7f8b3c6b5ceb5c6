"""The same against a server on PostgreSQL, where the machine has Debian's packages of it and a driver."""

import importlib.util
import math
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tracking.servers import Server, free_port

from dvface.tracking.store import SqliteStore, open_client
from dvface.tracking.sync import Sync

FOLDERS = [*sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True), Path("/usr/bin")]


pytestmark = pytest.mark.slow


@pytest.fixture
def database() -> Iterator[str]:
    """Address of an empty database of a PostgreSQL of its own, which refuses to run as root."""
    programs = next((folder for folder in FOLDERS if (folder / "initdb").is_file()), None)
    if programs is None:
        pytest.skip("PostgreSQL is not installed: apt install postgresql")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("PostgreSQL's driver is not installed: pip install psycopg2-binary")
    user = "nobody" if os.geteuid() == 0 else None
    folder = Path(tempfile.mkdtemp(prefix="dvface-postgres-"))
    if user is not None:
        shutil.chown(folder, user)
    port = free_port()

    def call(program: str, *words: str) -> None:
        subprocess.run([programs / program, *words], user=user, cwd=folder, check=True, stdout=subprocess.DEVNULL)

    data = str(folder / "data")
    call("initdb", "-D", data, "-U", "mlflow", "--auth=trust", "--no-sync")
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories='' -c fsync=off"
    try:
        call("pg_ctl", "-D", data, "-w", "-t", "120", "-l", str(folder / "log"), "-o", options, "start")
        yield f"postgresql+psycopg2://mlflow@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([programs / "pg_ctl", "-D", data, "-m", "immediate", "stop"], user=user, cwd=folder, check=False)
        shutil.rmtree(folder, ignore_errors=True)


def test_a_run_arrives_on_postgresql_and_again_only_what_is_new(
    database: str, tmp_path: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, tmp_path)
    store = SqliteStore(tmp_path)
    with store.start_run("study", "one", {"seed": "1"}) as run:
        run.log_params({"seed": 1})
        for step in range(20):
            run.log_metrics({"loss": math.nan if step == 3 else 1 / (step + 1)}, step)
    server = Server(tmp_path, database)
    server.start()
    try:
        sync = Sync(store, server.address)
        assert sync.copy(run.id).created
        with store.open_run(run.id) as resumed:
            resumed.log_metrics({"loss": 0.25}, 20)
        assert Sync(store, server.address).copy(run.id).items == 1
        assert Sync(store, server.address).copy(run.id).items == 0
        client = open_client(server.address)
        experiment = client.get_experiment_by_name("study").experiment_id
        (copy,) = client.search_runs([experiment], f"tags.synced_from = '{run.id}'")
        assert (copy.info.status, copy.data.params) == ("FINISHED", {"seed": "1"})

        def curve(one, run_id: str) -> list[tuple[int, int, str]]:
            return sorted((at.step, at.timestamp, repr(at.value)) for at in one.get_metric_history(run_id, "loss"))

        assert curve(client, copy.info.run_id) == curve(store.client, run.id)
        assert len(curve(client, copy.info.run_id)) == 21
    finally:
        server.kill()
