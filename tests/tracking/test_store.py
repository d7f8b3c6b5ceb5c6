import math
import multiprocessing
import sqlite3
import subprocess
import sys

import pytest

from dvface.errors import UserError
from dvface.tracking.run import NoRun, Run, clean_name
from dvface.tracking.store import SqliteStore, TrackingStore


def start_one(root, barrier, name) -> None:
    from mlflow import MlflowClient  # noqa: F401  both processes must reach the database together

    barrier.wait()
    with SqliteStore(root).start_run("shared", name, {}):
        pass


@pytest.fixture(scope="module")
def store(tmp_path_factory) -> TrackingStore:
    """A store that this process and another one created at the same time."""
    root = tmp_path_factory.mktemp("a folder")
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(2, timeout=120)
    other = context.Process(target=start_one, args=(root, barrier, "other"))
    other.start()
    start_one(root, barrier, "this")
    other.join()
    assert other.exitcode == 0
    return SqliteStore(root)


def summary(store: TrackingStore, run: Run):
    return next(found for found in store.runs() if found.id == run.id)


def client_of(store: TrackingStore):
    from mlflow import MlflowClient

    return MlflowClient(tracking_uri=store.uri)


def rows_of(store: TrackingStore, run: Run) -> list[tuple]:
    """(key, step, value, is_nan) read without MLflow."""
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as database:
        query = "SELECT key, step, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY key, step"
        return database.execute(query, [run.id]).fetchall()


def test_two_processes_may_create_one_new_store_at_once(store):
    assert {found.name for found in store.runs("shared")} == {"this", "other"}


def test_what_a_run_records_is_read_back(store, tmp_path):
    artifact = tmp_path / "config.yaml"
    artifact.write_text("exp: tiny\n")
    with store.start_run("read back", "one", {"exp": "tiny"}) as run:
        run.log_params({"model": {"width": 8, "parts": [1, 2], "extra": {}}, "long": "v" * 7000})
        run.log_metrics({"loss": 0.5, "final/held_out/restored/psnr": 31.25}, step=1)
        run.log_metrics({"loss": 0.25}, step=2)
        run.log_artifact(artifact, "settings")
        assert summary(store, run).status == "RUNNING"
    found = summary(store, run)
    assert (found.name, found.experiment, found.status) == ("one", "read back", "FINISHED")
    assert found.tags["exp"] == "tiny"
    assert found.params == {
        "model.width": "8",
        "model.parts": "[1, 2]",
        "model.extra": "{}",
        "long": "v" * 6000,
    }
    assert found.metrics == {"loss": 0.25, "final/held_out/restored/psnr": 31.25}
    assert found.end is not None
    assert 0 <= (found.end - found.start).total_seconds() < 60
    kept = store.artifact_root / run.id / "artifacts" / "settings" / "config.yaml"
    assert kept.read_text() == "exp: tiny\n"


def test_more_parameters_and_metrics_than_one_batch_takes(store):
    with store.start_run("large", "large", {}) as run:
        run.log_params({f"p{index}": index for index in range(130)})
        run.log_metrics({f"m{index}": index for index in range(1200)}, step=0)
    assert len(summary(store, run).params) == 130
    assert len(summary(store, run).metrics) == 1200


def test_metrics_are_written_in_batches(store):
    run = Run(client_of(store), store.start_run("batches", "batches", {}).id, flush_every=4)
    for step in range(3):
        run.log_metrics({"loss": step}, step)
    assert rows_of(store, run) == []
    run.log_metrics({"loss": 3.0}, 3)
    assert [row[1:3] for row in rows_of(store, run)] == [(0, 0.0), (1, 1.0), (2, 2.0), (3, 3.0)]
    run.log_metrics({"loss": 4.0}, 4)
    run.flush()
    assert len(rows_of(store, run)) == 5
    run.finish()


def test_names_that_mlflow_refuses_are_cleaned(store):
    with store.start_run("names", "names", {}) as run:
        run.log_metrics({"recall@5": 1.0, "/a//../b[0]": 2.0, "x" * 300: 3.0}, step=0)
    assert summary(store, run).metrics == {"recall_5": 1.0, "a/b_0_": 2.0, "x" * 250: 3.0}
    assert clean_name("../") == "_"


def test_nan_is_kept_and_infinities_are_counted_across_resumption(store):
    with store.start_run("non finite", "non finite", {}) as run:
        run.log_metrics({"loss": math.nan, "psnr": math.inf}, step=0)
    with store.open_run(run.id) as resumed:
        resumed.log_metrics({"psnr": -math.inf, "ssim": 1.0}, step=1)
    assert [(key, nan) for key, _, _, nan in rows_of(store, run)] == [("loss", 1), ("ssim", 0)]
    assert summary(store, run).tags["non_finite"] == "2"


def test_changed_parameters_of_a_resumed_run_are_collected_as_drift(store):
    with store.start_run("drift", "drift", {}) as run:
        run.log_params({"optimizer": {"rate": 0.1}, "seed": 1})
    assert "param_drift" not in summary(store, run).tags
    with store.open_run(run.id) as resumed:
        assert summary(store, run).status == "RUNNING"
        resumed.log_params({"optimizer": {"rate": 0.2}, "seed": 1, "new": "x"})
        resumed.log_params({"seed": 2})
    found = summary(store, run)
    assert found.params == {"optimizer.rate": "0.1", "seed": "1", "new": "x"}
    assert found.tags["param_drift"] == "optimizer.rate: '0.1' -> '0.2'\nseed: '1' -> '2'"
    assert found.status == "FINISHED"


@pytest.mark.parametrize(("error", "status"), [(ValueError, "FAILED"), (KeyboardInterrupt, "KILLED")])
def test_a_run_that_breaks_keeps_its_metrics_and_says_how_it_ended(store, error, status):
    with pytest.raises(error), store.start_run("broken", "broken", {}) as run:  # noqa: PT012
        run.log_metrics({"loss": 7.0}, step=0)
        raise error
    assert summary(store, run).status == status
    assert summary(store, run).metrics == {"loss": 7.0}


def test_runs_are_chosen_by_experiment_and_filter_and_come_oldest_first(store):
    parent = store.start_run("study", "parent", {"study": "ablation"})
    child = store.start_run("study", "child", {"study": "ablation"}, parent=parent.id)
    with store.start_run("study", "other", {"study": "none"}):
        pass
    parent.finish()
    child.finish("FAILED")
    assert [found.name for found in store.runs("study")] == ["parent", "child", "other"]
    children = store.runs(filter=f"tags.mlflow.parentRunId = '{parent.id}'")
    assert [found.id for found in children] == [child.id]
    assert [found.name for found in store.runs("study", "tags.study = 'ablation'")] == ["parent", "child"]


def test_mistakes_are_named(store, tmp_path):
    with store.start_run("ablation", "one", {}):
        pass
    with pytest.raises(UserError, match="no experiment 'ablatoin'; did you mean 'ablation'"):
        store.runs("ablatoin")
    with pytest.raises(UserError, match="filter 'nonsense here'"):
        store.runs(filter="nonsense here")
    with pytest.raises(UserError, match="run 123 cannot be resumed"):
        store.open_run("123")
    with pytest.raises(UserError, match="cannot be opened"):
        TrackingStore("nowhere://x", tmp_path).initialise()
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be written"):
        SqliteStore(tmp_path / "file").initialise()


def test_a_deleted_experiment_is_not_used_silently(store):
    with store.start_run("deleted", "one", {}):
        pass
    client = client_of(store)
    client.delete_experiment(client.get_experiment_by_name("deleted").experiment_id)
    with pytest.raises(UserError, match="'deleted' was deleted"):
        store.start_run("deleted", "two", {})


def test_no_run_takes_everything_a_run_takes(tmp_path):
    with NoRun() as run:
        run.log_params({"a": {"b": 1}})
        run.log_metrics({"loss": 1.0}, step=0)
        run.log_artifact(tmp_path / "absent", "folder")
        run.set_tags({"a": "b"})
        run.flush()
        run.finish("FAILED")
    public = {name for name in dir(Run) if not name.startswith("_")}
    assert public <= set(dir(NoRun))


def test_importing_the_store_does_not_import_mlflow():
    program = "import sys, dvface.tracking.store, dvface.tracking.compare; sys.exit('mlflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
