"""A sweep as a whole: what it refuses, what it says at the end, and a job that trains."""

import json
from pathlib import Path

import pytest
from tests.conftest import SMALLEST

from dvface.errors import UserError
from dvface.sweeps.expansion import expand
from dvface.sweeps.jobs import Job, Outcome
from dvface.sweeps.plan import Plan, plan, without_mistakes
from dvface.sweeps.running import alone_in, conclude, refuse_inside_a_job
from dvface.sweeps.sweep import sweep


def jobs_of(words: list[str]) -> dict[str, tuple[str, ...]]:
    return {one.label: one.words for one in expand(words)}


@pytest.mark.parametrize(
    "environment",
    [{"WORLD_SIZE": "2"}, {"RANK": "1"}, {"SLURM_PROCID": "3"}, {"DVFACE_RUN": "runs/tiny/a"}],
)
def test_a_sweep_inside_a_training_job_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match="ordinary shell"):
        refuse_inside_a_job("sweep", environment)


def test_a_sweep_in_a_shell_that_a_cluster_gave_is_not_refused() -> None:
    refuse_inside_a_job("sweep", {"WORLD_SIZE": "1", "RANK": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"})


def test_wrong_configurations_are_all_told_before_anything_starts(tmp_path: Path) -> None:
    wrong = jobs_of([f"runs={tmp_path / 'runs'}", "seed=-1,x,0"])
    said: list[str] = []
    with pytest.raises(UserError, match="2 of 3 jobs have a wrong configuration"):
        without_mistakes(plan(wrong), said.append)
    assert [line.partition(":")[0] for line in said] == ["seed=-1", "seed=x"]
    with pytest.raises(UserError, match=r"^unknown key 'sed'"):
        without_mistakes(plan(jobs_of(["sed=0", "seed=0,1"])), said.append)
    assert not (tmp_path / "runs").exists()


def test_at_the_end_failed_jobs_are_named_with_how_to_go_on(tmp_path: Path) -> None:
    jobs = [Job(f"seed={seed}", (), tmp_path / "tiny" / f"seed={seed}", 1, 1) for seed in range(3)]
    outcomes = {
        "seed=0": Outcome("finished", 61.0),
        "seed=1": Outcome("failed", 2.0, "exit code 2"),
        "seed=2": Outcome("skipped"),
    }
    said: list[str] = []
    assert conclude(jobs, outcomes, "dvface compare runs=here", said.append) == 1
    table = [line.split() for line in said[0].splitlines()[2:]]
    assert [row[:3] for row in table] == [
        ["seed=0", "finished", "01:01"],
        ["seed=1", "failed", "00:02"],
        ["seed=2", "skipped", "–"],
    ]
    assert said[1] == "side by side: dvface compare runs=here"
    assert said[2].startswith("1 of 3 jobs failed: seed=1;")
    assert conclude(jobs[:1], outcomes, "", said.append) == 0


def test_the_same_jobs_are_not_run_twice_at_once(tmp_path: Path) -> None:
    with alone_in(tmp_path / "jobs"), pytest.raises(UserError, match="another process"), alone_in(tmp_path / "jobs"):
        pass


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_training_job_runs_and_is_finished_for_the_same_words_only(paired_shards: Path, tmp_path: Path) -> None:
    words = [
        *SMALLEST,
        "stage=codebook",
        "stages.codebook.steps=1",
        "data=shards",
        f"data.source.train={paired_shards}",
        f"data.source.held_out={paired_shards}",
        "data.workers=0",
        "logger=none",  # a new store takes seconds
        f"runs={tmp_path / 'runs'}",
    ]
    said: list[str] = []
    assert sweep([*words, "seed=3", "launcher.jobs=2"], said.append) == 0, "\n".join(said)
    assert any(line.startswith("finished: ") for line in said)
    found = list(plan(jobs_of([*words, "seed=3,4"])).values())
    assert [isinstance(planned, Plan) and planned.finished for planned in found] == [True, False]
    assert isinstance(found[0], Plan)
    assert json.loads((found[0].job.folder / "run.json").read_text())["finished"]
    # The same name with another configuration, as after a change of a file below conf: training has the last word.
    stored = found[0].job.folder / "config.yaml"
    stored.write_text(stored.read_text().replace("batch_size: 2", "batch_size: 1"))
    found = list(plan(jobs_of([*words, "seed=3"])).values())
    assert isinstance(found[0], Plan)
    assert not found[0].finished
    assert found[0].begun is not None
    assert found[0].begun.changed == tuple(f"stages.{stage}.batch_size" for stage in ("codebook", "prior", "restorer"))
