"""Jobs of a sweep on a SLURM cluster, of which this machine plays the part."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
from tests.sweeps.jobs import job, wait_for

from dvface.errors import UserError
from dvface.sweeps.slurm import SlurmLauncher
from dvface.sweeps.task import TrainTask

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
