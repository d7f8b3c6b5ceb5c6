"""What a study would do: every run planned, and every experiment compared with the baseline, before any run starts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from dvface.config.ablation import change_lines
from dvface.config.compose import difference, flatten, load_with_choices, resolve
from dvface.config.schema import STAGES
from dvface.errors import UserError, nearest
from dvface.studies.study import Study, StudyRun, experiment_words, study_run
from dvface.sweeps.plan import Plan
from dvface.sweeps.plan import plan as plan_jobs
from dvface.tracking.environment import source_digest

STAGE_BUDGET = ("steps", "batch_size", "frames", "crop")
TRAINER_BUDGET = ("accumulate", "devices", "nodes")
"""What decides how many pixels a run learns from, besides its stages."""


@dataclass(frozen=True)
class StudyPlan:
    """What a study consists of.

    Attributes:
        runs: all runs, seed by seed.
        jobs: each run's plan, or the sentence about a mistake, by the name of its folder.
        changes: label of an experiment to what it changes against the baseline, a line a key.
        source: SHA-256 of this code.
    """

    runs: tuple[StudyRun, ...]
    jobs: Mapping[str, Plan | str]
    changes: Mapping[str, tuple[str, ...]]
    source: str


def experiments(study: Study, overrides: Sequence[str]) -> dict[str, tuple[str, ...] | str]:
    """For each experiment its words, or the sentence that says what is wrong with it.

    Args:
        study: the study.
        overrides: words of `dvface train` for all runs.
    """
    found: dict[str, tuple[str, ...] | str] = {}
    for label in study.experiments:
        try:
            found[label] = experiment_words(study, label, overrides)
        except UserError as error:
            found[label] = str(error)
    return found


def plan_study(study: Study, runs: Path, words: Mapping[str, tuple[str, ...]]) -> StudyPlan:
    """Check the experiments against each other, and plan every run.

    Args:
        study: the study.
        runs: the folder for run folders.
        words: label to the words of its experiment.

    Raises:
        UserError: experiments do not have the same budget, or a measure is none that the runs take.
    """
    composed = {label: load_with_choices("train", words[label]) for label in study.experiments}
    trees = {label: tree for label, (tree, _) in composed.items()}
    check_measures(study, trees)
    check_budgets(study, trees)
    found = [study_run(study, label, seed, words[label], runs) for seed in study.seeds for label in trees]
    jobs = plan_jobs({run.folder.name: run.words for run in found})
    baseline, variants = composed[study.baseline]
    changes = {
        label: tuple(change_lines(difference(baseline, tree), variants, chosen))
        for label, (tree, chosen) in composed.items()
    }
    return StudyPlan(
        tuple(found),
        {name: _in_its_folder(planned) for name, planned in jobs.items()},
        changes,
        source_digest(),
    )


def check_measures(study: Study, trees: Mapping[str, DictConfig]) -> None:
    """Every run must take all measures of the study.

    Raises:
        UserError: one of them is not taken.
    """
    for label, tree in trees.items():
        for measure in study.measures:
            if measure not in tree.metrics:
                raise UserError(
                    f"measures: {label} does not take '{measure}'{nearest(measure, map(str, tree.metrics))} "
                    f"(it takes: {', '.join(map(str, tree.metrics))}); name all in shared words: metrics=[…]"
                )


def check_budgets(study: Study, trees: Mapping[str, DictConfig]) -> None:
    """Experiments must see equally much: the same steps of each stage that they have, on as many and as large clips.

    Raises:
        UserError: one sees more than the baseline.
    """
    budgets = {label: _budget(resolve(tree)) for label, tree in trees.items()}
    for stage in study.budget:
        if not any(f"stages.{stage}.steps" in budget for budget in budgets.values()):
            raise UserError(f"budget.{stage}: no experiment trains that stage; leave it out")
    for label, budget in budgets.items():
        for key, value in budget.items():
            # A stage that the baseline leaves out is held against whichever experiment has it first.
            standard = next(other[key] for other in (budgets[study.baseline], *budgets.values()) if key in other)
            if value != standard:
                raise UserError(
                    f"the budgets are not equal: {key} is {value} in {label} and {standard} elsewhere; give all "
                    f"experiments the same with a shared word: {key}={standard}"
                )


def _in_its_folder(planned: Plan | str) -> Plan | str:
    """A plan, or that its folder holds a run with another configuration."""
    if isinstance(planned, str) or planned.begun is None or not planned.begun.changed:
        return planned
    return (
        f"{planned.job.folder} was begun with other settings ({', '.join(planned.begun.changed[:3])}); give the old "
        "ones again, move that folder away, or give runs=ANOTHER_FOLDER"
    )


def _budget(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted keys to the values that decide how much a run learns from; stages that it leaves out are not there."""
    leaves = flatten(plain)
    keys = [
        *(f"stages.{stage}.{key}" for stage in STAGES if leaves[f"stages.{stage}.steps"] for key in STAGE_BUDGET),
        *(f"trainer.{key}" for key in TRAINER_BUDGET),
    ]
    return {key: leaves[key] for key in keys}
