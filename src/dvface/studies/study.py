"""A study: a question, the experiments that may answer it, and the runs that they make."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dvface.config.compose import PACKAGE, load
from dvface.config.schema import STAGES, STUDIES, validated
from dvface.errors import UserError, nearest
from dvface.studies.settings import StudyFile

FILE = "study.yaml"
RESERVED = ("seed", "name", "runs", "study", "stage", "resume", "fork")
"""Keys of `dvface train` that a study decides itself."""


@dataclass(frozen=True)
class Study:
    """What ``experiments/NAME/study.yaml`` says.

    Attributes:
        name: of its folder.
        folder: where its file lies.
        question: what it is to answer, in one sentence.
        baseline: label of the experiment that the others are tested against.
        experiments: label to the words of `dvface train` that make it.
        shared: words of all experiments.
        seeds: each experiment is trained once with each.
        measures: what is compared; the first is the main one.
        footage: the set of held-out footage on which it is measured.
        budget: optimiser steps of each stage that an experiment has.
        hours: that all calls together may take; None for no limit.
    """

    name: str
    folder: Path
    question: str
    baseline: str
    experiments: Mapping[str, tuple[str, ...]]
    shared: tuple[str, ...]
    seeds: tuple[int, ...]
    measures: tuple[str, ...]
    footage: str
    budget: Mapping[str, int]
    hours: float | None


@dataclass(frozen=True)
class StudyRun:
    """One training run of a study.

    Attributes:
        label: of its experiment.
        seed: its seed.
        words: of `dvface train`; the same words again find the same run.
        folder: the run's folder; it is there once the run has begun.
    """

    label: str
    seed: int
    words: tuple[str, ...]
    folder: Path


def study_folder(name: str, runs: Path) -> Path:
    """Where a study's run folders lie."""
    return runs / STUDIES / name


def studies() -> dict[str, Path]:
    """Every study and its folder: those of the working directory first, then those that came with dvface."""
    found: dict[str, Path] = {}
    for root in (Path("experiments"), PACKAGE / "experiments", PACKAGE.parents[1] / "experiments"):
        for path in sorted(root.glob(f"*/{FILE}")):
            found.setdefault(path.parent.name, path.parent)
    return found


def read_study(name: str) -> Study:
    """The study of that name.

    Raises:
        UserError: there is none, or its file is wrong; one sentence with the key, what is allowed, the nearest match.
    """
    known = studies()
    if name not in known:
        raise UserError(
            f"there is no study '{name}'{nearest(name, known)} (one of: {', '.join(known) or 'none is here'}); "
            f"a study is a file experiments/NAME/{FILE}"
        )
    path = known[name] / FILE
    try:
        tree = OmegaConf.load(path)
        plain = OmegaConf.to_container(tree) if isinstance(tree, DictConfig) else None
    except (YAMLError, OmegaConfBaseException, OSError) as error:
        raise UserError(f"{path} is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(plain, dict):
        raise UserError(f"{path} has no keys; it takes: {', '.join(StudyFile.model_fields)}")
    for key in map(str, plain):
        if key not in StudyFile.model_fields:
            hint = nearest(key, StudyFile.model_fields)
            raise UserError(f"{path}: unknown key '{key}'{hint} (it takes: {', '.join(StudyFile.model_fields)})")
    try:
        file = validated(StudyFile, {str(key): value for key, value in plain.items()})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return Study(
        name=name,
        folder=known[name],
        question=" ".join(file.question.split()),
        baseline=file.baseline,
        experiments={label: tuple(words) for label, words in file.experiments.items()},
        shared=tuple(file.shared),
        seeds=tuple(file.seeds),
        measures=tuple(file.measures),
        footage=file.footage,
        budget=file.budget,
        hours=file.hours,
    )


def study_runs(study: Study, runs: Path, overrides: Sequence[str] = ()) -> list[StudyRun]:
    """Every run of a study: all experiments with the first seed, then all with the next.

    In this order a study that is cut short has compared something.

    Args:
        study: the study.
        runs: the folder for run folders.
        overrides: further words of `dvface train` for all runs; they take the place of shared ones of the same key.

    Raises:
        UserError: an experiment's words do not compose.
    """
    words = {label: experiment_words(study, label, overrides) for label in study.experiments}
    return [study_run(study, label, seed, words[label], runs) for seed in study.seeds for label in study.experiments]


def study_run(study: Study, label: str, seed: int, words: Sequence[str], runs: Path) -> StudyRun:
    """The run of an experiment, of which `experiment_words` gave the words, with one seed."""
    name = f"{label}-seed{seed}"
    membership = f"study={{name:'{study.name}',variant:'{label}'}}"
    own = (f"seed={seed}", f"runs={runs}", f"name={name}", membership)
    return StudyRun(label, seed, (*words, *own), study_folder(study.name, runs) / name)


def experiment_words(study: Study, label: str, overrides: Sequence[str] = ()) -> tuple[str, ...]:
    """An experiment's words with what all experiments share, and with the steps of the stages that it has.

    Raises:
        UserError: they do not compose, or the budget says nothing of a stage.
    """
    words = plain_words(study, label, overrides)
    tree = load("train", words)
    steps = {stage: int(OmegaConf.select(tree, f"stages.{stage}.steps")) for stage in STAGES}
    for stage, count in steps.items():
        if count and stage not in study.budget:
            raise UserError(
                f"it trains the stage {stage}, of which the budget says nothing; give budget.{stage}, or leave the "
                f"stage out of all experiments: stages/{stage}=none"
            )
    return (*words, *(f"stages.{stage}.steps={study.budget[stage]}" for stage, count in steps.items() if count))


def plain_words(study: Study, label: str, overrides: Sequence[str] = ()) -> tuple[str, ...]:
    """An experiment's words with what all experiments share, without its budget.

    Raises:
        UserError: a key is given twice, or is one that the study decides.
    """
    given = {_key(word) for word in overrides}
    own = study.experiments[label]
    shared = (*(word for word in study.shared if _key(word) not in given), *overrides)
    keys = [_key(word) for word in (*own, *shared)]
    for key in keys:
        if keys.count(key) > 1:
            raise UserError(f"{key} is given twice, by it and by all; an experiment's own words vary what none shares")
        if re.split(r"[./@]", key)[0] in RESERVED:
            raise UserError(f"{key} is decided by the study; leave it out")
        if key.startswith("stages.") and key.endswith(".steps"):
            raise UserError(f"{key}: the study's budget says how many steps a stage takes, the same for all")
    return (*own, *shared)


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]
