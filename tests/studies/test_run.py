"""A study as a whole: what it says, how it counts time, and real runs that are interrupted and go on."""

import json
import os
import re
import signal
import threading
import time
from pathlib import Path

import pytest
from tests.conftest import SMALLEST
from tests.studies.files import write_study

from dvface.errors import UserError
from dvface.files import sha256
from dvface.studies.allowance import Allowance
from dvface.studies.run import parent_states, study
from dvface.studies.study import StudyRun
from dvface.studies.telling import expected_seconds, left_line, time_lines
from dvface.sweeps.jobs import Job, Outcome
from dvface.sweeps.plan import Begun, Plan
from dvface.tracking.store import SqliteStore


def plan_of(name: str, seconds: float | None, finished: bool = False) -> Plan:
    begun = None if seconds is None else Begun(finished, seconds, "code", ())
    return Plan(Job(name, (), Path(name), 1, 1), Path("runs"), {}, begun)


def test_what_is_left_takes_as_long_as_what_is_finished_did() -> None:
    done = [plan_of("a", 100, finished=True), plan_of("b", 140, finished=True)]
    left = [plan_of("c", 50), plan_of("d", None), plan_of("e", 500)]
    assert expected_seconds([*done, *left]) == 3 * 120
    assert expected_seconds(left) is None


def test_runs_are_counted_and_the_time_is_shared_by_jobs_at_once(tmp_path: Path) -> None:
    plans = {plan.job.label: plan for plan in (plan_of("a", 600, True), plan_of("b", 60), plan_of("c", None))}
    assert time_lines(plans, Allowance(tmp_path / "time.json", 2.0), 2) == [
        "3 runs: 1 finished, 1 begun, 1 new",
        "expected time: about 10:00, a run as long as the finished ones",
        "no run begins after 2:00:00 of all calls; 00:00 are spent",
    ]


def test_hours_count_over_all_calls(tmp_path: Path) -> None:
    now = [0.0]
    first = Allowance(tmp_path / "time.json", 1.0, clock=lambda: now[0])
    now[0] = 5000.0  # planning does not count
    first.begin()
    now[0] += 2000.0
    assert first.is_left()
    second = Allowance(tmp_path / "time.json", 1.0, clock=lambda: now[0])
    second.begin()
    now[0] += 1500.0
    assert second.is_left()
    now[0] += 200.0
    assert not second.is_left()
    assert second.spent == 3700.0
    assert "hours=MORE" in left_line(["a"], second)
    assert Allowance(tmp_path / "time.json", 2.0).is_left()
    assert Allowance(tmp_path / "time.json", None).is_left()


def test_a_parent_is_finished_once_all_its_runs_are(tmp_path: Path) -> None:
    runs = [StudyRun(label, seed, (), tmp_path / f"{label}{seed}") for seed in (0, 1) for label in "abc"]
    for run in runs:
        run.folder.mkdir()
        finished = run.label != "b" or run.seed == 0
        (run.folder / "run.json").write_text(json.dumps({"finished": finished}))
    outcomes = {"c1": Outcome("failed", 1.0, "exit code 1")}
    states = parent_states(runs, {"a": "id-a", "b": "id-b", "c": "id-c"}, outcomes)
    assert states == {"id-a": "FINISHED", "id-b": "KILLED", "id-c": "FAILED"}


def test_every_wrong_experiment_is_told_before_anything_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_study("mine", experiments={"plain": "exp=tiny", "a": "exp=tinny", "b": "exp=tiny fusion=symetric"})
    said: list[str] = []
    with pytest.raises(UserError, match="2 of 3 experiments have a wrong configuration; nothing was started"):
        study(["name=mine"], said.append)
    assert "did you mean 'tiny'" in said[1]
    assert "did you mean 'symmetric'" in said[2]
    assert not Path("runs").exists()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_interrupted_study_goes_on_with_the_same_numbers_under_one_parent_each(
    paired_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shared = [
        *(word for word in SMALLEST if not re.match(r"fusion|stages\.(prior|restorer)", word)),
        "data=shards",
        f"data.source.train={paired_shards}",
        f"data.source.held_out={paired_shards}",
        "data.workers=0",
        "trainer.checkpoint_every=1",
        "stages/prior=none",
        "stages/restorer=none",
    ]
    # What differs has no part in the numbers: the run that is interrupted must end as the one that is not.
    words = {"plain": "trainer.log_every=1", "other": "trainer.log_every=2"}
    write_study("mine", experiments=words, shared=shared, seeds=[0], budget={"codebook": 30})
    folder = Path("runs/studies/mine")

    def press_control_c() -> None:
        while not (folder / "other-seed0/stages/codebook/last.ckpt").is_file():
            time.sleep(0.05)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=press_control_c, daemon=True).start()
    said: list[str] = []
    assert study(["name=mine"], said.append) == 130, "\n".join(said)
    assert "  other (0 of 1 finished): changes:" in said
    assert "    trainer.log_every: 1 -> 2" in said
    assert "finished: plain-seed0" in said
    assert not json.loads((folder / "other-seed0/run.json").read_text())["finished"]
    assert json.loads((folder / "time.json").read_text())["seconds"] > 0

    again: list[str] = []
    assert study(["name=mine"], again.append) == 0, "\n".join(again)
    assert "2 runs: 1 finished, 1 begun, 0 new" in again
    assert "skipped: plain-seed0: finished before" in again
    assert "side by side: dvface compare study=mine" in again
    weights = [folder / f"{label}-seed0/stages/codebook/weights.safetensors" for label in words]
    assert sha256(weights[0]) == sha256(weights[1])

    runs = SqliteStore("runs").runs()
    parents = {run.tags["variant"]: run for run in runs if "run_folder" not in run.tags}
    children = [run for run in runs if "run_folder" in run.tags]
    assert len(runs) == 4
    assert {label: run.status for label, run in parents.items()} == {"plain": "FINISHED", "other": "FINISHED"}
    assert parents["other"].tags["ablation"] == "trainer.log_every: 1 -> 2"
    for run in children:
        assert (run.tags["study"], run.tags["seed"]) == ("mine", "0")
        assert run.tags["mlflow.parentRunId"] == parents[run.tags["variant"]].id
