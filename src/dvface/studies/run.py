"""`dvface study`: train what a study still lacks."""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import validated
from dvface.studies.allowance import Allowance
from dvface.studies.parents import close_parents, open_parents
from dvface.studies.plan import StudyPlan, experiments, plan_study
from dvface.studies.settings import StudySettings
from dvface.studies.study import StudyRun, read_study, study_folder
from dvface.studies.telling import experiment_lines, left_line, time_lines
from dvface.sweeps.expansion import separate
from dvface.sweeps.jobs import Launcher, Outcome
from dvface.sweeps.plan import Plan, apart, without_mistakes
from dvface.sweeps.running import INTERRUPTED, alone_in, conclude, refuse_inside_a_job, run_missing
from dvface.tracking.run import Status


def study(overrides: Sequence[str], say: Callable[[str], None]) -> int:
    """Train every run of a study that is not finished yet.

    Args:
        overrides: of ``conf/study.yaml``, and of ``conf/train.yaml`` for all runs.
        say: prints a line for the user.

    Returns:
        The exit code: 0, 1 where a run failed, 130 after Ctrl-C.

    Raises:
        UserError: the study's file or an experiment is wrong, budgets are not equal, or the launcher does not work
            here; nothing has been started then.
    """
    refuse_inside_a_job("study", os.environ)
    own, others = separate(overrides, [str(key) for key in load("study")])
    settings = validated(StudySettings, resolve(load("study", own)))
    chosen = read_study(settings.name)
    say(f"study {chosen.name}: {chosen.question}")
    launcher: Launcher = build(settings.launcher, "dvface.sweeps.", Launcher)
    folder = study_folder(chosen.name, Path(settings.runs))
    allowance = Allowance(folder / "time.json", settings.hours or chosen.hours)
    with ExitStack() as held:
        with apart() as call:
            words: dict[str, tuple[str, ...]] = without_mistakes(call(experiments, chosen, others), say, "experiment")
            found: StudyPlan = call(plan_study, chosen, Path(settings.runs), words)
            plans = without_mistakes(found.jobs, say)
            launcher.check([planned.job for planned in plans.values() if not planned.finished])
            at_once = int(settings.launcher["jobs"])
            for line in (*experiment_lines(chosen, found, plans), *time_lines(plans, allowance, at_once)):
                say(line)
            held.enter_context(alone_in(folder))
            logger = next(iter(plans.values())).logger
            parents: dict[str, str] = call(open_parents, logger, chosen, found.changes)
        outcomes: Mapping[str, Outcome] = {}
        allowance.begin()
        try:
            jobs = [_with_parent(plans[run.folder.name], parents.get(run.label)) for run in found.runs]
            outcomes = run_missing(jobs, launcher, folder, say, allowance.is_left)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on")
            return INTERRUPTED
        finally:
            allowance.keep()
            if parents:
                with apart() as call:
                    call(close_parents, logger, parent_states(found.runs, parents, outcomes))
    code = conclude([planned.job for planned in plans.values()], outcomes, f"dvface compare study={chosen.name}", say)
    left = [label for label, outcome in outcomes.items() if outcome.state == "left"]
    if left:
        say(left_line(left, allowance))
    return code


def parent_states(
    runs: Sequence[StudyRun], parents: Mapping[str, str], outcomes: Mapping[str, Outcome]
) -> dict[str, Status]:
    """How each experiment's parent run ends, by its id: failed as soon as one run did, finished once all are.

    Args:
        runs: of the study.
        parents: ids by label.
        outcomes: of the jobs, by the names of their run folders; none after Ctrl-C.
    """
    states: dict[str, Status] = {}
    for label, parent in parents.items():
        mine = [run.folder for run in runs if run.label == label]
        if any(folder.name in outcomes and outcomes[folder.name].state == "failed" for folder in mine):
            states[parent] = "FAILED"
        else:
            states[parent] = "FINISHED" if all(map(_is_finished, mine)) else "KILLED"
    return states


def _is_finished(folder: Path) -> bool:
    try:
        return json.loads((folder / "run.json").read_text(encoding="utf-8"))["finished"] is True
    except (OSError, ValueError, TypeError, KeyError):
        return False


def _with_parent(planned: Plan, parent: str | None) -> Plan:
    """A job whose run is told the id of its parent run."""
    if parent is None:
        return planned
    command = (*planned.job.command, f"+study.parent='{parent}'")
    return replace(planned, job=replace(planned.job, command=command))
