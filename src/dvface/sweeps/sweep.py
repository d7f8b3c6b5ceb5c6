"""`dvface sweep`: a training job for each combination of values."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import validated
from dvface.errors import UserError
from dvface.sweeps.expansion import expand, separate, sweep_name
from dvface.sweeps.jobs import Launcher
from dvface.sweeps.plan import Plan, apart, initialise_stores, plan, without_mistakes
from dvface.sweeps.running import INTERRUPTED, alone_in, conclude, refuse_inside_a_job, run_missing
from dvface.sweeps.settings import SweepSettings


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
    refuse_inside_a_job("sweep", os.environ)
    own, others = separate(overrides, [str(key) for key in load("sweep")])
    settings = validated(SweepSettings, resolve(load("sweep", own)))
    launcher: Launcher = build(settings.launcher, "dvface.sweeps.", Launcher)
    with apart() as call:
        planned: dict[str, Plan | str] = call(plan, {one.label: one.words for one in expand(others)})
        plans = list(without_mistakes(planned, say).values())
        left = [planned for planned in plans if not planned.finished]
        launcher.check([planned.job for planned in left])
        folder = _one_folder(plans) / "sweeps" / (settings.sweep or sweep_name(others))
        call(initialise_stores, [planned.logger for planned in left])
    with alone_in(folder):
        try:
            outcomes = run_missing(plans, launcher, folder, say)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on")
            return INTERRUPTED
    jobs = [planned.job for planned in plans]
    return conclude(jobs, outcomes, f"dvface compare runs={jobs[0].folder.parents[1]}", say)


def _one_folder(plans: Sequence[Plan]) -> Path:
    """The folder for run folders that all jobs share."""
    folders = sorted({str(planned.runs) for planned in plans})
    if len(folders) > 1:
        raise UserError(f"runs={','.join(folders)}: the jobs of a sweep share one folder for runs; give runs=FOLDER")
    return Path(folders[0])
