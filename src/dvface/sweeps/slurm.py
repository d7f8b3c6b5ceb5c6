"""Jobs of a SLURM cluster, through submitit."""

import json
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from dvface.errors import UserError
from dvface.files import write_json
from dvface.report.progress import Progress
from dvface.sweeps.jobs import Job, Launcher, Outcome, always, last_line
from dvface.sweeps.task import SAVE_SECONDS, TrainTask

PAUSE_SECONDS = 1.0
SUBMITTED = "submitted.json"


class SlurmLauncher(Launcher):
    """Submits all jobs as one array and waits for them.

    Whoever waits may stop and come back: jobs that are still queued or running are found again and not submitted twice.

    Args:
        jobs: at once, 1 or more.
        partition: where to queue; None leaves it to the cluster, as for the next three.
        account: who pays.
        qos: quality of service.
        constraint: features of the machines.
        minutes: after which a job is told to save and is queued again.
        requeues: how often that may happen to one job.
        nodes: machines of a job.
        tasks_per_node: processes on each machine.
        gpus_per_node: GPUs of each machine; 0 asks for none.
        cpus_per_task: cores of each process.
        memory_gigabytes: of each machine; None leaves it to the cluster.
        cluster: local runs what SLURM would run on this machine instead, to try it.

    Raises:
        ValueError: a number is too small.
    """

    def __init__(
        self,
        jobs: int,
        partition: str | None,
        account: str | None,
        qos: str | None,
        constraint: str | None,
        minutes: int,
        requeues: int,
        nodes: int,
        tasks_per_node: int,
        gpus_per_node: int,
        cpus_per_task: int,
        memory_gigabytes: int | None,
        cluster: Literal["slurm", "local"] = "slurm",
    ) -> None:
        counted = {"jobs": jobs, "nodes": nodes, "tasks_per_node": tasks_per_node, "cpus_per_task": cpus_per_task}
        for name, number in counted.items():
            if number < 1:
                raise ValueError(f"{name}={number}: give 1 or more")
        for name, number in {"requeues": requeues, "gpus_per_node": gpus_per_node}.items():
            if number < 0:
                raise ValueError(f"{name}={number}: give 0 or more")
        # Time to save is part of the minutes.
        if minutes * 60 <= SAVE_SECONDS:
            raise ValueError(f"minutes={minutes}: give more than {SAVE_SECONDS // 60}, the time to save")
        self.nodes = nodes
        self.tasks_per_node = tasks_per_node
        self.requeues = requeues
        self.cluster = cluster
        self.parameters: dict[str, Any] = {
            "name": "dvface",
            "timeout_min": minutes,
            "nodes": nodes,
            "tasks_per_node": tasks_per_node,
            "gpus_per_node": gpus_per_node or None,
            "cpus_per_task": cpus_per_task,
            "mem_gb": memory_gigabytes,
            "stderr_to_stdout": True,
            "slurm_partition": partition,
            "slurm_account": account,
            "slurm_qos": qos,
            "slurm_constraint": constraint,
            "slurm_array_parallelism": jobs,
            "slurm_signal_delay_s": SAVE_SECONDS,
            # Since SLURM 22.05 srun no longer takes the first over from sbatch; by the second, no task waits for one
            # that failed.
            "slurm_srun_args": [f"--cpus-per-task={cpus_per_task}", "--kill-on-bad-exit=1"],
        }

    def check(self, jobs: Sequence[Job]) -> None:
        """SLURM and submitit are here, and each job trains on as many processes as it would be given."""
        try:
            import submitit  # noqa: F401 - optional, and slow
        except ImportError as error:
            raise UserError("launcher=slurm needs submitit; run: pip install 'dvface[cluster]'") from error
        if self.cluster == "slurm":
            for command in ("sbatch", "srun"):
                if shutil.which(command) is None:
                    raise UserError(
                        f"launcher=slurm: there is no {command} on this machine; start the sweep on a login node of "
                        "the cluster, or say launcher=local"
                    )
        for job in jobs:
            if job.nodes != self.nodes:
                raise UserError(
                    f"launcher.nodes={self.nodes} but the job {job.label} has trainer.nodes={job.nodes}; "
                    "give both the same number"
                )
            if job.devices not in ("auto", self.tasks_per_node):
                raise UserError(
                    f"launcher.tasks_per_node={self.tasks_per_node} but the job {job.label} has "
                    f"trainer.devices={job.devices}; give both the same number"
                )

    def run(
        self, jobs: Sequence[Job], folder: Path, say: Callable[[str], None], may_begin: Callable[[], bool] = always
    ) -> dict[str, Outcome]:
        """See `Launcher.run`; all jobs begin at once. After Ctrl-C the jobs stay in SLURM's queue."""
        found = self._found_again(jobs, folder)
        if found:
            say(f"still queued or running: {' '.join(found)}")
        fresh = [job for job in jobs if job.label not in found]
        outcomes = {} if may_begin() else {job.label: Outcome("left") for job in fresh}
        waiting = found | self._submit([job for job in fresh if job.label not in outcomes], folder)
        # Written before anything is waited for: this process may be ended at any time.
        # By run folder: a sweep of the same name may have been given other words before.
        runs = {job.label: str(job.folder) for job in jobs}
        write_json(folder / SUBMITTED, {runs[label]: handle.job_id for label, handle in waiting.items()})
        say(f"waiting for {len(waiting)} SLURM jobs; Ctrl-C stops the waiting only")
        with Progress("jobs", total=len(waiting)) as progress:
            try:
                while waiting:
                    time.sleep(PAUSE_SECONDS)
                    for job in [job for job in jobs if job.label in waiting and waiting[job.label].done()]:
                        handle = waiting.pop(job.label)
                        outcomes[job.label] = _outcome(job, folder, handle)
                        say(outcomes[job.label].line(job))
                        progress.advance(note=job.label)
            except KeyboardInterrupt:
                arrays = sorted({handle.job_id.partition("_")[0] for handle in waiting.values()})
                say(f"the jobs go on; end them with: scancel {' '.join(arrays)}")
                raise
        return outcomes

    def _found_again(self, jobs: Sequence[Job], folder: Path) -> dict[str, Any]:
        """The jobs that an earlier call of the same sweep submitted and that have not ended."""
        from submitit import SlurmJob

        try:
            submitted = json.loads((folder / SUBMITTED).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if self.cluster == "local" or not isinstance(submitted, dict):
            return {}
        tasks = list(range(self.nodes * self.tasks_per_node))
        handles: dict[str, Any] = {
            job.label: SlurmJob(_files(folder), str(submitted[str(job.folder)]), tasks)
            for job in jobs
            if str(job.folder) in submitted
        }
        return {label: handle for label, handle in handles.items() if not handle.done(force_check=True)}

    def _submit(self, jobs: Sequence[Job], folder: Path) -> dict[str, Any]:
        from submitit import AutoExecutor
        from submitit.core.utils import FailedJobError, FailedSubmissionError

        if not jobs:
            return {}
        executor = AutoExecutor(_files(folder), cluster=self.cluster, slurm_max_num_timeout=self.requeues)
        executor.update_parameters(**self.parameters)
        for job in jobs:
            _result(job, folder).unlink(missing_ok=True)
        try:
            with executor.batch():
                handles = [
                    executor.submit(TrainTask(job.command, Path.cwd(), job.log(folder), _result(job, folder)))
                    for job in jobs
                ]
        except (FailedJobError, FailedSubmissionError) as error:
            words = [line.strip() for line in str(error).splitlines() if line.strip()]
            refusal = next((line for line in words if "sbatch" in line and "error" in line), words[-1])
            raise UserError(f"SLURM refused the jobs ({refusal}); change the launcher's settings") from error
        return {job.label: handle for job, handle in zip(jobs, handles, strict=True)}


def _files(folder: Path) -> Path:
    """Where submitit keeps what it submits, and SLURM what the tasks print."""
    return folder / "slurm"


def _result(job: Job, folder: Path) -> Path:
    """Where a job's first task writes how it ended."""
    return job.log(folder).with_suffix(".json")


def _outcome(job: Job, folder: Path, handle: Any) -> Outcome:
    """How a job ended of which SLURM says that it has ended."""
    log = job.log(folder)
    try:
        result: Mapping[str, Any] = json.loads(_result(job, folder).read_text(encoding="utf-8"))
        return Outcome.of(int(result["exit"]), float(result["seconds"]), log)
    except (OSError, ValueError, KeyError):
        # It was cancelled, it never started, or its machine was lost.
        said = last_line(log) if log.is_file() else "it never started"
        return Outcome("failed", None, f"SLURM says {handle.state}: {said}; see {log} and {_files(folder)}")
