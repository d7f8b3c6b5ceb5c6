import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SMALLEST

from dvface.errors import UserError
from dvface.sweeps.expansion import expand, job_name, separate, sweep_name
from dvface.sweeps.jobs import Job, Outcome, last_line
from dvface.sweeps.local import LocalLauncher
from dvface.sweeps.plan import Plan, plan
from dvface.sweeps.slurm import SlurmLauncher
from dvface.sweeps.sweep import conclude, refuse_inside_a_job, sweep, without_mistakes
from dvface.sweeps.task import TrainTask


def job(label: str, code: str, *arguments: object) -> Job:
    """A job that runs some Python; no training, so that how jobs are run can be seen in a moment."""
    command = (sys.executable, "-c", textwrap.dedent(code), *map(str, arguments))
    return Job(label, command, Path(label), nodes=1, devices=1)


def wait_for(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


class TestWords:
    def test_every_combination_is_a_job_and_other_words_go_to_all(self) -> None:
        words = ["exp=a,b", "prior.encoder.channels=[8,8,8]", "seed=range(0,2)", "~metrics.psnr", "note='x,y'"]
        found = expand(words)
        assert [job.label for job in found] == ["exp=a,seed=0", "exp=a,seed=1", "exp=b,seed=0", "exp=b,seed=1"]
        assert found[1].overrides == (
            "exp=a",
            "prior.encoder.channels=[8,8,8]",
            "seed=1",
            "~metrics.psnr",
            "note='x,y'",
        )

    def test_lists_are_swept_as_lists_and_a_value_given_twice_is_one_job(self) -> None:
        found = [job.overrides for job in expand(["size.list=[1,2],[3]", "seed=0,0"])]
        assert found == [("size.list=[1,2]", "seed=0"), ("size.list=[3]", "seed=0")]

    def test_a_pattern_stands_for_the_variants_of_a_group(self) -> None:
        assert ("exp=ablation_no_temporal",) in [job.overrides for job in expand(["exp=glob(ablation_*)"])]
        with pytest.raises(UserError, match="no variant"):
            expand(["exp=glob(nothing*)"])

    @pytest.mark.parametrize(
        ("words", "said"), [(["seed=0", "seed=1"], "given twice"), (["seed=interval(0,1)"], "cannot be listed")]
    )
    def test_what_cannot_be_listed_is_refused(self, words: list[str], said: str) -> None:
        with pytest.raises(UserError, match=said):
            expand(words)

    def test_the_sweep_s_own_keys_are_told_from_those_of_training(self) -> None:
        words = ["launcher=slurm", "launcher.nodes=2", "sweep=mine", "+launcher.cluster=local", "seed=0", "launchers=1"]
        own, others = separate(words, ["launcher", "sweep"])
        assert own == words[:4]
        assert others == words[4:]

    def test_a_name_shows_all_values_and_depends_on_nothing_else(self) -> None:
        assert job_name(["size.entries=8", "exp=tiny", "runs=/a", "seed=1"]) == "seed=1,size.entries=8"
        assert job_name(["seed=1", "size.entries=8"]) == "seed=1,size.entries=8"
        assert job_name(["codebook/spatial=none"]) == "codebook.spatial=none"
        assert job_name(["exp=tiny"]) == "default"

    def test_names_that_would_look_alike_or_be_too_long_are_told_apart(self) -> None:
        words = [["a=x/y"], ["a=x:y"], ["a=../y"], ["a=" + 300 * "x"], ["a=" + 301 * "x"]]
        names = [job_name(overrides) for overrides in words]
        assert len(set(names)) == len(names)
        assert all("/" not in name and len(name) <= 100 for name in names)
        assert job_name(["a.long.key=" + 300 * "x", "seed=3"]).startswith("seed=3,a.long.key=xxx")

    def test_a_sweep_is_named_after_what_is_swept_and_told_from_others_of_the_same_values(self) -> None:
        assert sweep_name(["exp=a,b", "seed=0,1", "runs=/a"]) == "exp=a,b+seed=0,1"
        assert sweep_name(["seed=0"]) == "seed=0"
        names = {sweep_name(["seed=0,1", *others]) for others in ([], ["size.entries=8"], ["size.entries=9"])}
        assert len(names) == 3
        assert all(name.startswith("seed=0,1") for name in names)


@pytest.mark.parametrize(
    "environment",
    [{"WORLD_SIZE": "2"}, {"RANK": "1"}, {"SLURM_PROCID": "3"}, {"DVFACE_RUN": "runs/tiny/a"}],
)
def test_a_sweep_inside_a_training_job_is_refused(environment: dict[str, str]) -> None:
    with pytest.raises(UserError, match="ordinary shell"):
        refuse_inside_a_job(environment)


def test_a_sweep_in_a_shell_that_a_cluster_gave_is_not_refused() -> None:
    refuse_inside_a_job({"WORLD_SIZE": "1", "RANK": "0", "SLURM_PROCID": "0", "SLURM_NTASKS": "1"})


class TestLocal:
    def test_a_failing_job_stops_no_other_and_its_last_words_are_told(self, tmp_path: Path) -> None:
        jobs = [
            job("tiny/a", "print('error: no\\x1b[31m luck'); raise SystemExit(3)"),
            job("tiny/b", "print('all is well')"),
        ]
        said: list[str] = []
        outcomes = LocalLauncher(1, []).run(jobs, tmp_path, said.append)
        assert [outcomes[label].state for label in ("tiny/a", "tiny/b")] == ["failed", "finished"]
        assert "exit code 3" in outcomes["tiny/a"].remark
        assert "error: no\\x1b[31m luck" in outcomes["tiny/a"].remark
        assert "all is well" in (tmp_path / "tiny/b.log").read_text()
        assert len(said) == 2

    def test_no_more_jobs_run_at_once_than_allowed_and_cores_and_gpus_are_shared(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        code = """
        import os, sys, time
        from pathlib import Path
        here = Path(sys.argv[1])
        mine = here / os.environ["CUDA_VISIBLE_DEVICES"]
        mine.mkdir()  # fails where another job has the same GPU now
        time.sleep(0.5)
        (here / f"{os.getpid()}.txt").write_text(f"{len([p for p in here.iterdir() if p.is_dir()])}")
        (here / f"{os.getpid()}.threads").write_text(os.environ["OMP_NUM_THREADS"])
        mine.rmdir()
        """
        together = tmp_path / "together"
        together.mkdir()
        jobs = [job(f"tiny/{number}", code, together) for number in range(5)]
        outcomes = LocalLauncher(2, [4, 7]).run(jobs, tmp_path, print)
        assert {outcome.state for outcome in outcomes.values()} == {"finished"}
        assert max(int(path.read_text()) for path in together.glob("*.txt")) == 2
        cores = len(os.sched_getaffinity(0))
        assert {path.read_text() for path in together.glob("*.threads")} == {str(max(1, cores // 2))}

    STUBBORN = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    here = Path(sys.argv[1])
    fellow = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # as a second rank
    (here / "fellow").write_text(str(fellow.pid))
    (here / "begun").write_text(str(os.getpid()))
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        time.sleep(0.3)
        (here / "saved").touch()
        sys.exit(130)
    """

    SWEEP = """
    import sys
    from pathlib import Path
    from dvface.sweeps.jobs import Job
    from dvface.sweeps.local import LocalLauncher
    here = Path(sys.argv[1])
    command = (sys.executable, "-c", sys.argv[2], str(here))
    try:
        LocalLauncher(1, []).run([Job("tiny/a", command, here, 1, 1)], here, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
    """

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
    def test_a_job_saves_and_ends_when_the_sweep_is_interrupted_or_killed(
        self, tmp_path: Path, end: signal.Signals
    ) -> None:
        code, stubborn = textwrap.dedent(self.SWEEP), textwrap.dedent(self.STUBBORN)
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), stubborn])
        wait_for((tmp_path / "begun").is_file)
        wait_for(lambda: (tmp_path / "begun").read_text() != "")
        children = [int((tmp_path / name).read_text()) for name in ("begun", "fellow")]
        process.send_signal(end)
        assert process.wait(60) == (130 if end == signal.SIGINT else -signal.SIGKILL)
        if end == signal.SIGINT:
            assert (tmp_path / "saved").is_file(), "the sweep did not wait for its job"
        wait_for(lambda: not any(alive(child) for child in children))
        assert (tmp_path / "saved").is_file()

    def test_a_bar_s_last_state_is_the_last_line(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_text("begin\n10 %\r20 %\r30 %\n\n")
        assert last_line(tmp_path / "log") == "30 %"


SETTINGS = {
    "jobs": 2,
    "partition": "gpu",
    "account": None,
    "qos": None,
    "constraint": None,
    "minutes": 30,
    "requeues": 3,
    "nodes": 1,
    "tasks_per_node": 1,
    "gpus_per_node": 0,
    "cpus_per_task": 2,
    "memory_gigabytes": 4,
}


def slurm(**changes: Any) -> SlurmLauncher:
    settings: dict[str, Any] = {**SETTINGS, **changes}
    return SlurmLauncher(**settings)


CLUSTER = {
    "sbatch": """
    echo once >> "$CLUSTER/submitted"
    number=$((76 + $(wc -l < "$CLUSTER/submitted")))
    cp "$1" "$CLUSTER/$number.sh"
    export SLURM_JOB_ID=$number SLURM_PROCID=0 SLURM_NTASKS=1
    if grep -q array= "$1"; then
        for task in 0 1; do
            SLURM_ARRAY_JOB_ID=$number SLURM_ARRAY_TASK_ID=$task bash "$1" > "$CLUSTER/$number-$task.txt" 2>&1 &
        done
    else
        bash "$1" > "$CLUSTER/$number.txt" 2>&1 &
    fi
    echo "Submitted batch job $number"
    """,
    "srun": """
    printf '%s\\n' "$@" > "$CLUSTER/srun"
    while [[ $1 == --* ]]; do
        if [[ $1 == --output || $1 == --error ]]; then shift; fi
        shift
    done
    exec "$@"
    """,
    "sacct": """
    echo "JobID|State|NodeList"
    for name in 77_0 77_1 78; do echo "$name|RUNNING|here"; done
    """,
}
"""Stands for SLURM's commands: what is submitted runs at once on this machine, an array as two jobs."""


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, script in CLUSTER.items():
        command = tmp_path / "bin" / name
        command.parent.mkdir(exist_ok=True)
        command.write_text(f"#!/bin/bash\n{textwrap.dedent(script)}")
        command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("CLUSTER", str(tmp_path))
    return tmp_path


class TestSlurm:
    def test_without_its_commands_the_machine_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "")
        with pytest.raises(UserError, match="no sbatch on this machine"):
            slurm().check([])

    @pytest.mark.parametrize("changes", [{"nodes": 2}, {"tasks_per_node": 4}])
    def test_a_job_that_trains_on_other_processes_than_it_gets_is_refused(
        self, cluster: Path, changes: dict[str, object]
    ) -> None:
        slurm().check([job("tiny/a", "")])
        with pytest.raises(UserError, match="tiny/a has trainer"):
            slurm(**changes).check([job("tiny/a", "")])

    def test_what_sbatch_refuses_is_told(self, cluster: Path) -> None:
        (cluster / "bin" / "sbatch").write_text("#!/bin/bash\necho 'sbatch: error: invalid partition' >&2; exit 1\n")
        with pytest.raises(UserError, match="invalid partition"):
            slurm().run([job("tiny/a", "")], cluster / "sweep", print)

    def test_who_waits_may_be_killed_and_nothing_runs_twice(self, cluster: Path) -> None:
        patient = """
        import sys, time
        from pathlib import Path
        while not Path(sys.argv[1]).is_file():
            time.sleep(0.1)
        """
        jobs = [
            job("tiny/a", patient, cluster / "go"),
            job("tiny/b", "print('error: out of luck'); raise SystemExit(1)"),
        ]
        waiting = f"""
        from pathlib import Path
        from dvface.sweeps.jobs import Job
        from dvface.sweeps.slurm import SlurmLauncher
        SlurmLauncher(**{SETTINGS}).run({jobs}, Path({str(cluster / "sweep")!r}), print)
        """.replace("PosixPath", "Path")
        first = subprocess.Popen([sys.executable, "-c", textwrap.dedent(waiting)])
        wait_for((cluster / "sweep" / "submitted.json").is_file)
        first.kill()
        first.wait()
        wait_for((cluster / "sweep" / "slurm" / "77_1_0_result.pkl").is_file)

        said: list[str] = []

        def say(line: str) -> None:
            said.append(line)
            (cluster / "go").touch()

        outcomes = slurm().run(jobs, cluster / "sweep", say)
        assert said[0] == "still queued or running: tiny/a"
        assert outcomes["tiny/a"].state == "finished"
        assert outcomes["tiny/b"].state == "failed"
        assert "exit code 1: error: out of luck" in outcomes["tiny/b"].remark
        tries = {label: (cluster / "sweep" / f"{label}.log").read_text().count(sys.executable) for label in outcomes}
        assert tries == {"tiny/a": 1, "tiny/b": 2}
        script = (cluster / "77.sh").read_text()
        for line in ("--partition=gpu", "--time=30", "--mem=4GB", "--cpus-per-task=2", "--signal=USR2@120"):
            assert f"#SBATCH {line}" in script
        assert "gpus" not in script
        assert "--cpus-per-task=2" in (cluster / "srun").read_text()

    def test_a_preempted_job_saves_is_queued_again_and_goes_on(self, tmp_path: Path) -> None:
        code = """
        import os, signal, sys, time
        from pathlib import Path
        here = Path(sys.argv[1])
        if (here / "saved").is_file():
            print("going on")
            sys.exit()
        guardian = Path(f"/proc/{os.getppid()}/stat").read_text().rpartition(")")[2].split()
        os.kill(os.getpid(), signal.SIGUSR2)  # SLURM sends it to all processes; this one does not expect it
        try:
            os.kill(int(guardian[1]), signal.SIGUSR2)
            time.sleep(600)
        except KeyboardInterrupt:
            (here / "saved").touch()
            sys.exit(130)
        """
        launcher = slurm(cluster="local")
        outcomes = launcher.run([job("tiny/a", code, tmp_path)], tmp_path / "sweep", print)
        assert outcomes["tiny/a"].state == "finished"
        assert "going on" in (tmp_path / "sweep/tiny/a.log").read_text()

    def test_a_task_that_is_queued_again_is_the_same_task(self, tmp_path: Path) -> None:
        task = TrainTask(("a", "b"), tmp_path, tmp_path / "log", tmp_path / "result")
        again = task.checkpoint().function
        assert vars(again) == vars(task)


def test_wrong_configurations_are_all_told_before_anything_starts(tmp_path: Path) -> None:
    combinations = expand([f"runs={tmp_path / 'runs'}", "seed=-1,x,0"])
    said: list[str] = []
    with pytest.raises(UserError, match="2 of 3 jobs have a wrong configuration"):
        without_mistakes(combinations, plan(combinations), said.append)
    assert [line.partition(":")[0] for line in said] == ["seed=-1", "seed=x"]
    twice = expand(["sed=0", "seed=0,1"])
    with pytest.raises(UserError, match=r"^unknown key 'sed'"):
        without_mistakes(twice, plan(twice), said.append)
    assert not (tmp_path / "runs").exists()


def test_at_the_end_failed_jobs_are_named_with_how_to_go_on(tmp_path: Path) -> None:
    jobs = [Job(f"seed={seed}", (), tmp_path / "tiny" / f"seed={seed}", 1, 1) for seed in range(3)]
    outcomes = {
        "seed=0": Outcome("finished", 61.0),
        "seed=1": Outcome("failed", 2.0, "exit code 2"),
        "seed=2": Outcome("skipped"),
    }
    said: list[str] = []
    assert conclude(jobs, outcomes, said.append) == 1
    table = [line.split() for line in said[0].splitlines()[2:]]
    assert [row[:3] for row in table] == [
        ["seed=0", "finished", "01:01"],
        ["seed=1", "failed", "00:02"],
        ["seed=2", "skipped", "–"],
    ]
    assert said[1] == f"side by side: dvface compare runs={tmp_path}"
    assert said[2].startswith("1 of 3 jobs failed: seed=1;")
    assert conclude(jobs[:1], outcomes, said.append) == 0


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
    found = plan(expand([*words, "seed=3,4"]))
    assert [isinstance(planned, Plan) and planned.finished for planned in found] == [True, False]
    assert isinstance(found[0], Plan)
    assert json.loads((found[0].job.folder / "run.json").read_text())["finished"]
    # The same name with another configuration, as after a change of a file below conf: training has the last word.
    stored = found[0].job.folder / "config.yaml"
    stored.write_text(stored.read_text().replace("batch_size: 2", "batch_size: 1"))
    assert [isinstance(planned, Plan) and planned.finished for planned in plan(expand([*words, "seed=3"]))] == [False]
