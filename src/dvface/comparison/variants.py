"""Runs that differ in nothing but their seed are one variant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvface.comparison.runs import RESTORED, FinishedRun
from dvface.config.compose import difference
from dvface.errors import UserError, nearest

NO_DIFFERENCE = ("seed", "name", "runs")
"""Keys of a run that are no setting of its variant."""


@dataclass(frozen=True)
class Variant:
    """What was trained once or several times.

    Attributes:
        label: how tables call it.
        runs: by seed, rising; at least one.
    """

    label: str
    runs: Mapping[int, FinishedRun]

    @property
    def first(self) -> FinishedRun:
        """The run of the lowest seed."""
        return self.runs[min(self.runs)]

    def numbers(self, measure: str, side: str = RESTORED) -> dict[int, dict[str, float]]:
        """Seed -> clip -> number."""
        return {seed: run.numbers(measure, side) for seed, run in self.runs.items()}

    @property
    def clips(self) -> dict[int, frozenset[str]]:
        """Seed -> the clips that it was measured on."""
        return {seed: frozenset(run.clips) for seed, run in self.runs.items()}


def changes(one: FinishedRun, other: FinishedRun) -> dict[str, tuple[Any, Any]]:
    """Settings in which two runs differ, seed and place aside."""
    found = difference(one.config, other.config)
    return {key: values for key, values in found.items() if key not in NO_DIFFERENCE}


def group(runs: Sequence[FinishedRun]) -> tuple[list[Variant], list[str]]:
    """Variants in the order of their first runs, and what must be said about runs that are passed over.

    A variant is called by its name in a study, else by its experiment; where two would be called alike, by the first
    run's folder too.
    """
    groups: list[list[FinishedRun]] = []
    for run in runs:
        alike = next((one for one in groups if _name(one[0]) == _name(run) and not changes(one[0], run)), None)
        if alike is None:
            groups.append([run])
        else:
            alike.append(run)
    names = [_name(one[0]) for one in groups]
    labels = [
        name if names.count(name) == 1 else f"{name} ({one[0].folder.name})"
        for name, one in zip(names, groups, strict=True)
    ]
    return variants_of([(label, run) for label, one in zip(labels, groups, strict=True) for run in one])


def variants_of(labelled: Sequence[tuple[str, FinishedRun]]) -> tuple[list[Variant], list[str]]:
    """Variants of runs whose labels are known, and a sentence for each seed that a variant has twice."""
    found: dict[str, dict[int, FinishedRun]] = {}
    remarks = []
    for label, run in labelled:
        known = found.setdefault(label, {})
        if run.seed in known:
            remarks.append(f"{label}: seed {run.seed} was trained more than once; {run.folder.name} counts.")
        known[run.seed] = run
    return [Variant(label, dict(sorted(known.items()))) for label, known in found.items()], remarks


def baseline_of(variants: Sequence[Variant], wanted: str | None) -> Variant:
    """The variant that the others are tested against.

    Args:
        variants: at least one.
        wanted: its label; None takes the one that the most others name as theirs, else the first.

    Raises:
        UserError: there is no such variant.
    """
    labels = {variant.label: variant for variant in variants}
    if wanted is not None:
        if wanted not in labels:
            raise UserError(
                f"baseline={wanted}: there is no such variant{nearest(wanted, labels)} (one of: {', '.join(labels)})"
            )
        return labels[wanted]
    named = [str(variant.first.config.get("baseline")) for variant in variants]
    return max(variants, key=lambda variant: named.count(str(variant.first.config.get("exp"))))


def _name(run: FinishedRun) -> str:
    study = run.config.get("study")
    return str(study.variant if study is not None else run.config.get("exp", Path(run.folder).parent.name))
