"""`dvface sweep`: a training job for each combination of values."""

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import validated
from dvface.errors import UserError
from dvface.report.progress import duration_text
from dvface.report.tables import Column, Table
from dvface.sweeps.expansion import Combination, expand, separate, sweep_name
from dvface.sweeps.jobs import Job, Launcher, Outcome
from dvface.sweeps.plan import Plan, apart, initialise_stores, plan
from dvface.sweeps.settings import SweepSettings

INTERRUPTED = 130
RANKS = ("RANK", "SLURM_PROCID", "LOCAL_RANK")
"""Environment variables that number the processes of one job from 0."""


def sweep(overrides: Sequence[str], say: Callable[[str], None]) -> int:
    """Run every job that is not finished yet.

    Args:
        overrides: of ``conf/sweep.yaml``, and of ``conf/train.yaml`` with several values where they are swept.
        say: prints a line for the user.

    Returns:
        The exit code: 0, 1 where a job failed, 130 after Ctrl-C.

    Raises:
        UserError: a job's configuration is wrong, or the launcher does not work here; nothing has been started then.
    """
    refuse_inside_a_job(os.environ)
    own, others = separate(overrides, [str(key) for key in load("sweep")])
    settings = validated(SweepSettings, resolve(load("sweep", own)))
    launcher: Launcher = build(settings.launcher, "dvface.sweeps.", Launcher)
    combinations = expand(others)
    with apart() as call:
        plans = without_mistakes(combinations, call(plan, combinations), say)
        left = [planned for planned in plans if not planned.finished]
        launcher.check([planned.job for planned in left])
        folder = _one_folder(plans) / "sweeps" / (settings.sweep or sweep_name(others))
        call(initialise_stores, [planned.logger for planned in left])
    folder.mkdir(parents=True, exist_ok=True)
    outcomes = {planned.job.label: Outcome("skipped") for planned in plans if planned.finished}
    try:
        with FileLock(folder / ".lock", timeout=0):
            for planned in plans:
                if planned.finished:
                    say(f"{outcomes[planned.job.label].line(planned.job)}: finished before")
            if left:
                outcomes |= launcher.run([planned.job for planned in left], folder, say)
    except Timeout as error:
        raise UserError(f"{folder} is in use by the same sweep; wait for it, or give sweep=ANOTHER_NAME") from error
    except KeyboardInterrupt:
        say("interrupted; the same command goes on")
        return INTERRUPTED
    return conclude([planned.job for planned in plans], outcomes, say)


def refuse_inside_a_job(environment: Mapping[str, str]) -> None:
    """A sweep in each process of a job would start every run as many times.

    Args:
        environment: environment variables.

    Raises:
        UserError: they are those of a process of a training job.
    """
    several = _number(environment, "WORLD_SIZE") > 1 or any(_number(environment, rank) > 0 for rank in RANKS)
    if several or "DVFACE_RUN" in environment:
        raise UserError(
            "dvface sweep was started inside a training job; start it from an ordinary shell: "
            "each of its jobs starts its own processes"
        )


def without_mistakes(
    combinations: Sequence[Combination], planned: Sequence[Plan | str], say: Callable[[str], None]
) -> list[Plan]:
    """The plans of jobs, where none of them is a sentence about a mistake.

    Args:
        combinations: the jobs.
        planned: what `dvface.sweeps.plan.plan` made of them.
        say: prints a line for the user; one for each wrong job where they are several.

    Raises:
        UserError: there are mistakes.
    """
    mistakes = [(job.label, found) for job, found in zip(combinations, planned, strict=True) if isinstance(found, str)]
    if len(mistakes) == len(planned) and len({sentence for _, sentence in mistakes}) == 1:
        raise UserError(mistakes[0][1])  # of what all jobs share
    if len(mistakes) == 1:
        raise UserError(f"the job {mistakes[0][0]}: {mistakes[0][1]}")
    if mistakes:
        for label, sentence in mistakes:
            say(f"{label}: {sentence}")
        raise UserError(f"{len(mistakes)} of {len(planned)} jobs have a wrong configuration; none was started")
    return [found for found in planned if isinstance(found, Plan)]


def conclude(jobs: Sequence[Job], outcomes: Mapping[str, Outcome], say: Callable[[str], None]) -> int:
    """Tell how all jobs ended, and how to go on.

    Args:
        jobs: all of the sweep's.
        outcomes: by their labels.
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
    if len(failed) < len(jobs):
        say(f"side by side: dvface compare runs={jobs[0].folder.parents[1]}")
    if failed:
        say(
            f"{len(failed)} of {len(jobs)} jobs failed: {' '.join(failed)}; mend the cause and give the same command "
            "again: it goes on with these and skips the others"
        )
    return 1 if failed else 0


def _number(environment: Mapping[str, str], name: str) -> int:
    text = environment.get(name, "")
    return int(text) if text.isdecimal() else 0


def _one_folder(plans: Sequence[Plan]) -> Path:
    """The folder for run folders that all jobs share."""
    folders = sorted({str(planned.runs) for planned in plans})
    if len(folders) > 1:
        raise UserError(f"runs={','.join(folders)}: the jobs of a sweep share one folder for runs; give runs=FOLDER")
    return Path(folders[0])
