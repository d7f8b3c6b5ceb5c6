"""Running jobs that were planned, and telling how they ended: what sweeps and studies have in common."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from dvface.errors import UserError
from dvface.report.progress import duration_text
from dvface.report.tables import Column, Table
from dvface.sweeps.jobs import Job, Launcher, Outcome, always
from dvface.sweeps.plan import Plan

INTERRUPTED = 130
RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
"""Environment variables that number the processes of one job from 0."""


def refuse_inside_a_job(command: str, environment: Mapping[str, str]) -> None:
    """A sweep or study in each process of a job would start every run as many times.

    Args:
        command: which of them.
        environment: environment variables.

    Raises:
        UserError: they are those of a process of a training job.
    """
    several = _number(environment, "WORLD_SIZE") > 1 or any(_number(environment, rank) > 0 for rank in RANKS)
    if several or "DVFACE_RUN" in environment:
        raise UserError(
            f"dvface {command} was started inside a training job; start it from an ordinary shell: "
            "each of its jobs starts its own processes"
        )


@contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold a folder of jobs' logs, which is made, so that no two processes run the same jobs.

    Raises:
        UserError: another process holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"{folder} is in use by another process with the same jobs; wait for it") from error
    try:
        yield
    finally:
        lock.release()


def run_missing(
    plans: Sequence[Plan],
    launcher: Launcher,
    folder: Path,
    say: Callable[[str], None],
    may_begin: Callable[[], bool] = always,
) -> dict[str, Outcome]:
    """Run every job that is not finished yet.

    Args:
        plans: all jobs.
        launcher: what starts them.
        folder: for logs.
        say: prints a line for the user.
        may_begin: see `Launcher.run`.

    Returns:
        The outcomes by label.

    Raises:
        KeyboardInterrupt: see `Launcher.run`.
    """
    outcomes = {planned.job.label: Outcome("skipped") for planned in plans if planned.finished}
    for planned in plans:
        if planned.finished:
            say(f"{outcomes[planned.job.label].line(planned.job)}: finished before")
    left = [planned.job for planned in plans if not planned.finished]
    return {**outcomes, **launcher.run(left, folder, say, may_begin)} if left else outcomes


def conclude(jobs: Sequence[Job], outcomes: Mapping[str, Outcome], compare: str, say: Callable[[str], None]) -> int:
    """Tell how all jobs ended, and how to go on.

    Args:
        jobs: all of them.
        outcomes: by their labels.
        compare: the command that puts the runs side by side.
        say: prints a line for the user.

    Returns:
        The exit code: 1 where a job failed, else 0.
    """
    rows = [
        [job.label, outcome.state, None if outcome.seconds is None else duration_text(outcome.seconds), str(job.folder)]
        for job, outcome in ((job, outcomes[job.label]) for job in jobs)
    ]
    say(Table([Column("job"), Column("state"), Column("time"), Column("run folder")], rows).text().rstrip())
    failed = [job.label for job in jobs if outcomes[job.label].state == "failed"]
    if any(outcome.state in ("finished", "skipped") for outcome in outcomes.values()):
        say(f"side by side: {compare}")
    if failed:
        say(
            f"{len(failed)} of {len(jobs)} jobs failed: {' '.join(failed)}; mend the cause and give the same command "
            "again: it goes on with these and skips the others"
        )
    return 1 if failed else 0


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else 0
