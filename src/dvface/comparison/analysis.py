"""Means of every variant, and what its differences to the baseline show."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from dvface.comparison.differences import LEVEL, Difference, difference, holm
from dvface.comparison.runs import INPUT, RESTORED
from dvface.comparison.spread import Sample, bootstrap_interval, t_interval
from dvface.comparison.variants import Variant
from dvface.report.tables import Cell, Estimated


@dataclass(frozen=True)
class Tested:
    """A variant against the baseline by one measure.

    Attributes:
        variant: its label.
        measure: what was measured.
        difference: what was found; None where nothing can be compared.
        bootstrap: 95 % interval of the mean difference by drawing seeds and clips again.
        corrected: p of the primary test, corrected for all variants that were tested by this measure (Holm).
        detectable: the smallest true difference that would have been shown with a chance of 80 %.
        reason: why nothing can be compared.
    """

    variant: str
    measure: str
    difference: Difference | None
    bootstrap: tuple[float, float] | None = None
    corrected: float | None = None
    detectable: float | None = None
    reason: str = ""

    @property
    def shown(self) -> bool:
        """Whether a difference is shown at a level of 5 % after correction."""
        return self.corrected is not None and self.corrected < LEVEL


@dataclass(frozen=True)
class Comparison:
    """All that tables, page and conclusion are made of.

    Attributes:
        title: heading.
        question: that was asked; empty where none was.
        footage: set of held-out footage.
        measures: the main one first.
        variants: in order.
        baseline: one of them.
        tests: of every other variant by every measure.
        remarks: sentences that a reader must know.
    """

    title: str
    question: str
    footage: str
    measures: Sequence[str]
    variants: Sequence[Variant]
    baseline: Variant
    tests: Sequence[Tested]
    remarks: Sequence[str]

    def of(self, measure: str) -> list[Tested]:
        """The tests by one measure, in the order of variants."""
        return [test for test in self.tests if test.measure == measure]


def mean_of(variant: Variant, measure: str, side: str = RESTORED) -> Cell:
    """Mean over clips and seeds with its 95 % interval, of clips alone where there is one seed.

    Where no numbers of clips were kept, the mean over seeds of the set's number, without interval.
    """
    sample = Sample.of(variant.numbers(measure, side))
    if sample is None:
        runs = [run.means if side == RESTORED else run.input_means for run in variant.runs.values()]
        known = [means[measure] for means in runs if measure in means]
        return sum(known) / len(known) if known else None
    ends = t_interval(sample)
    return sample.mean if ends is None else Estimated(sample.mean, *ends)


def tests(variants: Sequence[Variant], baseline: Variant, measures: Sequence[str]) -> list[Tested]:
    """Every variant but the baseline by every measure, corrected within each measure."""
    found: list[Tested] = []
    for measure in measures:
        raw = [_test(variant, baseline, measure) for variant in variants if variant is not baseline]
        having = [test.difference.p for test in raw if test.difference is not None and test.difference.p is not None]
        corrected = iter(holm(having))
        for test in raw:
            if test.difference is None or test.difference.p is None:
                found.append(test)
            else:
                detectable = test.difference.detectable(len(having))
                found.append(replace(test, corrected=next(corrected), detectable=detectable))
    return found


def differences(variant: Variant, baseline: Variant, measure: str) -> dict[int, dict[str, float]]:
    """Seed -> clip -> variant less baseline, of the seeds and clips that both have."""
    ours, theirs = variant.numbers(measure), baseline.numbers(measure)
    return {
        seed: {clip: ours[seed][clip] - theirs[seed][clip] for clip in ours[seed] if clip in theirs[seed]}
        for seed in ours
        if seed in theirs
    }


def _test(variant: Variant, baseline: Variant, measure: str) -> Tested:
    sample = Sample.of(differences(variant, baseline, measure))
    if sample is None:
        return Tested(variant.label, measure, None, reason=_reason(variant, baseline, measure))
    return Tested(variant.label, measure, difference(sample), bootstrap_interval(sample))


def _reason(variant: Variant, baseline: Variant, measure: str) -> str:
    for one in (variant, baseline):
        if not any(run.clips for run in one.runs.values()):
            return f"{one.label} was measured before numbers of clips were kept"
        if not any(one.numbers(measure).values()):
            return f"{one.label} has no numbers of clips of it"
    if not set(variant.runs) & set(baseline.runs):
        return "they have no seed in common"
    return "they were measured on different clips"


def reference_input(comparison_baseline: Variant, measures: Sequence[str]) -> Mapping[str, Cell]:
    """The degraded side of the baseline's clips, by measure."""
    return {measure: mean_of(comparison_baseline, measure, INPUT) for measure in measures}
