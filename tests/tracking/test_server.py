"""Runs on their way to a real MLflow server, which may be lost at any time."""

import math
import shutil
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.tracking.servers import Server, free_port
from tests.training.runs import Runs

from dvface.cli.sync import sync
from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.errors import UserError
from dvface.tracking.run import Run
from dvface.tracking.server import MirroredStore
from dvface.tracking.store import SqliteStore, open_client
from dvface.tracking.sync import Sync

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", autouse=True)
def _impatient() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        patch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
        yield


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    shutil.copy(empty_store, folder)
    one = Server(folder, f"sqlite:///{folder / 'mlflow.db'}")
    one.start()
    yield one
    one.kill()


@pytest.fixture
def store(tmp_path: Path, empty_store: Path) -> SqliteStore:
    shutil.copy(empty_store, tmp_path)
    return SqliteStore(tmp_path)


def copies(server: Server, run: Run) -> list:
    client = open_client(server.address)
    numbers = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(numbers, f"tags.synced_from = '{run.id}'"))


def history(client, run_id: str, name: str) -> list[tuple[int, int, str]]:
    return sorted((one.step, one.timestamp, repr(one.value)) for one in client.get_metric_history(run_id, name))


def record(store: SqliteStore, tmp_path: Path) -> tuple[Run, Run]:
    """A finished study's parent and one run of it, with everything that a run may have."""
    picture = tmp_path / "picture.png"
    picture.write_bytes(b"picture")
    parent = store.start_run("study of parents", "whole", {"study": "one"})
    with parent, store.start_run("study of parents", "part", {"seed": "3"}, parent.id) as run:
        run.log_params({f"p{number}": number for number in range(120)})
        for step in range(30):
            run.log_metrics({"loss": 1 / (step + 1), "restorer/speed": math.nan if step == 3 else step}, step)
        run.log_metrics({"final/held_out/restored/psnr": 31.5}, 0)
        run.log_artifact(picture)
        run.log_artifact(picture, "pictures/deep")
    return parent, run


def test_everything_arrives_and_only_what_is_new_is_sent_again(
    server: Server, store: SqliteStore, tmp_path: Path
) -> None:
    parent, run = record(store, tmp_path)
    first = Sync(store, server.address).copy(run.id)
    assert first.created
    ours, theirs = store.client, open_client(server.address)
    original = ours.get_run(run.id)
    (copy,) = copies(server, run)
    assert copy.data.params == original.data.params
    assert len(copy.data.params) == 120
    assert (copy.info.run_name, copy.info.status) == ("part", "FINISHED")
    assert (copy.info.start_time, copy.info.end_time) == (original.info.start_time, original.info.end_time)
    assert theirs.get_experiment(copy.info.experiment_id).name == "study of parents"
    for name in ("loss", "restorer/speed", "final/held_out/restored/psnr"):
        assert history(theirs, copy.info.run_id, name) == history(ours, run.id, name)
    (whole,) = copies(server, parent)
    assert copy.data.tags["mlflow.parentRunId"] == whole.info.run_id
    assert (whole.data.tags["study"], copy.data.tags["seed"]) == ("one", "3")
    kept = theirs.download_artifacts(copy.info.run_id, "pictures/deep/picture.png", str(tmp_path))
    assert Path(kept).read_bytes() == b"picture"

    again = Sync(store, server.address).copy(run.id)
    assert (again.created, again.items) == (False, 0)
    with store.open_run(run.id) as resumed:
        resumed.log_metrics({"loss": 0.01}, 30)
        resumed.set_tags({"provenance_drift": "commit: a -> b"})
        changed = tmp_path / "picture.png"
        changed.write_bytes(b"PICTURE")  # of the same size
        resumed.log_artifact(changed)
    assert Sync(store, server.address).copy(run.id).items == 3
    (copy,) = copies(server, run)
    assert history(theirs, copy.info.run_id, "loss") == history(ours, run.id, "loss")
    assert copy.data.tags["provenance_drift"] == "commit: a -> b"
    kept = theirs.download_artifacts(copy.info.run_id, "picture.png", str(tmp_path / "server"))
    assert Path(kept).read_bytes() == b"PICTURE"


def test_what_was_deleted_there_stays_deleted(server: Server, store: SqliteStore) -> None:
    with store.start_run("deleted", "one", {}) as run:
        run.log_metrics({"loss": 1.0}, 0)
    Sync(store, server.address).copy(run.id)
    (copy,) = copies(server, run)
    open_client(server.address).delete_run(copy.info.run_id)
    sent = Sync(store, server.address).copy(run.id)
    assert sent.deleted
    assert not sent.created
    assert copies(server, run) == []


def test_a_server_killed_in_the_middle_stops_no_run_and_gets_the_rest_later(
    server: Server, store: SqliteStore, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    mirrored = MirroredStore(tmp_path, server.address, every=0.2, patience=20)
    began = time.monotonic()
    with mirrored.start_run("mirrored", "one", {"exp": "tiny"}) as run:
        run.log_metrics({"loss": 0.5}, 0)
        run.flush()
        while not (copies(server, run) and copies(server, run)[0].data.metrics.get("loss") == 0.5):
            assert time.monotonic() - began < 240, capfd.readouterr()
            time.sleep(0.3)
        assert copies(server, run)[0].info.status == "RUNNING"
        server.kill()
        try:
            slowest = 0.0
            for step in range(1, 40):
                before = time.monotonic()
                run.log_metrics({"loss": 0.5 / step}, step)
                run.flush()
                slowest = max(slowest, time.monotonic() - before)
                time.sleep(0.05)
            assert slowest < 4  # and not the 10 seconds after which a request is given up
            run.finish()  # with the server away
        finally:
            server.start()
    found = next(one for one in store.runs() if one.id == run.id)
    assert (found.status, found.metrics["loss"]) == ("FINISHED", 0.5 / 39)
    said = capfd.readouterr().err
    assert said.count(f"not mirrored to {server.address} now") == 1
    assert f"later: dvface sync to={server.address} runs={tmp_path} run={run.id}" in said
    sync([f"to={server.address}", f"runs={tmp_path}", f"run={run.id}"])
    assert "0 new, 1 brought up to date, 0 unchanged of 1 runs" in capfd.readouterr().out
    (copy,) = copies(server, run)
    assert copy.info.status == "FINISHED"
    theirs = open_client(server.address)
    assert history(theirs, copy.info.run_id, "loss") == history(store.client, run.id, "loss")
    sync([f"to={server.address}", f"runs={tmp_path}"])
    assert "0 new, 0 brought up to date, 1 unchanged of 1 runs" in capfd.readouterr().out


def test_a_run_that_ends_is_whole_on_the_server(server: Server, store: SqliteStore, tmp_path: Path, capfd) -> None:
    mirrored = MirroredStore(tmp_path, server.address, every=1000, patience=60)
    with mirrored.start_run("ended", "one", {}) as run:
        run.log_metrics({"loss": 2.0}, 7)
    (copy,) = copies(server, run)
    assert (copy.info.status, copy.data.metrics) == ("FINISHED", {"loss": 2.0})
    assert capfd.readouterr().err == ""
    with mirrored.open_run(run.id) as resumed:
        resumed.log_metrics({"loss": 1.0}, 8)
    (copy,) = copies(server, run)
    assert copy.data.metrics == {"loss": 1.0}


def test_a_server_that_never_answers_delays_neither_steps_nor_the_end(
    store: SqliteStore, tmp_path: Path, capfd
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        mirrored = MirroredStore(tmp_path, address, every=0.1, patience=1)
        run = mirrored.start_run("silent", "one", {})
        began = time.monotonic()
        run.log_metrics({"loss": 1.0}, 0)
        run.finish()
        assert time.monotonic() - began < 5
    assert "not all of this run is on the server" in capfd.readouterr().err
    assert [one.status for one in store.runs()] == ["FINISHED"]


def test_a_sync_cut_short_goes_on_without_doubles(
    server: Server, store: SqliteStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with store.start_run("cut", "one", {}) as run:
        for step in range(50):
            run.log_metrics({"loss": step}, step)
    monkeypatch.setattr("dvface.tracking.sync.POINTS_AT_ONCE", 20)
    first = Sync(store, server.address)
    target, sent = first._target, 0
    log_batch = target.log_batch

    def cut(*arguments, **batch) -> None:
        nonlocal sent
        sent += "metrics" in batch
        if sent == 3:
            raise ConnectionError("the cable was pulled")
        log_batch(*arguments, **batch)

    monkeypatch.setattr(target, "log_batch", cut)
    with pytest.raises(ConnectionError):
        first.copy(run.id)
    (copy,) = copies(server, run)
    theirs = open_client(server.address)
    assert len(history(theirs, copy.info.run_id, "loss")) == 40
    assert not Sync(store, server.address).copy(run.id).created
    assert history(theirs, copy.info.run_id, "loss") == history(store.client, run.id, "loss")


def test_training_goes_through_where_no_server_is(
    tmp_path: Path, empty_store: Path, paired_shards: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(empty_store, tmp_path)
    address = f"http://127.0.0.1:{free_port()}"
    runs = Runs(tmp_path, paired_shards)
    folder = runs.train("logger=server", f"logger.uri={address}", "logger.patience=30.0", "name=one")
    assert folder.weights("codebook").is_file()
    (tracked,) = SqliteStore(tmp_path).runs()
    assert tracked.status == "FINISHED"
    said = capfd.readouterr().err
    assert said.count(f"not mirrored to {address} now") == 1
    assert "later: dvface sync" in said
    with pytest.raises(UserError, match=f"{address} cannot be reached .* 0 of 1 runs are there"):
        sync([f"to={address}", f"runs={tmp_path}"])


def test_where_the_server_is_comes_from_the_setting_or_the_environment(tmp_path, monkeypatch) -> None:
    def address(*words: str) -> str:
        return build(resolve(load("train", [f"runs={tmp_path}", "logger=server", *words]))["logger"]).address

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    with pytest.raises(UserError, match=r"logger\.uri has no value"):
        address()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://from.environment:5000")
    assert address() == "http://from.environment:5000"
    assert address("logger.uri=http://given:5000") == "http://given:5000"
    with pytest.raises(UserError, match="MLFLOW_TRACKING_PASSWORD") as refused:
        address("logger.uri=http://me:secret@host:5000")
    assert "secret" not in str(refused.value)
    with pytest.raises(UserError, match="seconds above 0"):
        address("logger.patience=0.0")
    assert not list(tmp_path.iterdir())
