"""What the user is told of a study before its runs and after them."""

from collections.abc import Mapping, Sequence
from statistics import mean

from dvface.report.progress import duration_text
from dvface.studies.allowance import Allowance
from dvface.studies.plan import StudyPlan
from dvface.studies.study import Study
from dvface.sweeps.plan import Plan


def experiment_lines(study: Study, found: StudyPlan, plans: Mapping[str, Plan]) -> list[str]:
    """What is the same in all experiments, and what each changes.

    Args:
        study: the study.
        found: what it consists of.
        plans: of its jobs, by the names of their run folders.
    """
    steps = ", ".join(f"{stage} {count}" for stage, count in study.budget.items())
    lines = [
        f"  seeds: {', '.join(map(str, study.seeds))}; steps: {steps}; "
        f"measured on {study.footage}: {', '.join(study.measures)}",
    ]
    for label, changes in found.changes.items():
        mine = [plans[run.folder.name] for run in found.runs if run.label == label]
        finished = sum(planned.finished for planned in mine)
        what = "the baseline" if label == study.baseline else "changes:" if changes else "changes nothing"
        lines.append(f"  {label} ({finished} of {len(mine)} finished): {what}")
        lines += [f"    {line}" for line in changes]
    old = [name for name, planned in plans.items() if planned.begun and planned.begun.source != found.source]
    if old:
        lines.append(f"{len(old)} of {len(plans)} runs were begun with other code than this: {' '.join(old)}")
    return lines


def time_lines(plans: Mapping[str, Plan], allowance: Allowance, at_once: int) -> list[str]:
    """How many runs there are, how many are finished, and how long the others will take.

    Args:
        plans: of all jobs.
        allowance: the time that the study may take.
        at_once: how many jobs run at the same time.
    """
    finished = sum(planned.finished for planned in plans.values())
    begun = sum(planned.begun is not None for planned in plans.values()) - finished
    lines = [f"{len(plans)} runs: {finished} finished, {begun} begun, {len(plans) - finished - begun} new"]
    seconds = expected_seconds(list(plans.values()))
    if finished == len(plans):
        return lines
    if seconds is None:
        lines.append("expected time: unknown until a run is finished")
    else:
        lines.append(f"expected time: about {duration_text(seconds / at_once)}, a run as long as the finished ones")
    if allowance.limit is not None:
        lines.append(
            f"no run begins after {duration_text(allowance.limit)} of all calls; {duration_text(allowance.spent)} are "
            "spent"
        )
    return lines


def expected_seconds(plans: Sequence[Plan]) -> float | None:
    """What the unfinished runs will take, one after another, as long as finished ones did; None where none is.

    A run that is begun counts whole: how far it is, only its checkpoint knows.
    """
    known = [planned.begun.seconds for planned in plans if planned.finished and planned.begun]
    return mean(known) * (len(plans) - len(known)) if known else None


def left_line(left: Sequence[str], allowance: Allowance) -> str:
    """What to do about runs that were not begun since the time is over."""
    return (
        f"{len(left)} runs are left, since the study's {duration_text(allowance.limit or 0)} are spent "
        f"({duration_text(allowance.spent)}); the same command with hours=MORE goes on"
    )
