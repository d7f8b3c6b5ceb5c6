"""A comparison as tables."""

from collections.abc import Sequence

from dvface.comparison.analysis import Comparison, Tested, mean_of
from dvface.comparison.runs import INPUT, FinishedRun
from dvface.comparison.variants import Variant, changes
from dvface.evaluation.tables import number_form
from dvface.report.escape import printable
from dvface.report.tables import Cell, Column, Estimated, Table
from dvface.tracking.compare import better_side

UNRESTORED = "input, not restored"


def means_table(comparison: Comparison) -> Table:
    """One row a variant: seeds, size, time and means with intervals; the input of the baseline's clips first.

    A measure is ranked where all variants were measured on the same clips.
    """
    variants, measures = comparison.variants, comparison.measures
    about = [
        Column("variant"),
        Column("seeds"),
        Column("clips"),
        Column("parameters (M)", form=".2f"),
        Column("time (min)", form=".1f"),
    ]
    measured = {frozenset().union(*variant.clips.values()) for variant in variants}
    ranked = len(measured) == 1 and bool(min(measured))
    columns = [Column(printable(name), better_side(name), number_form(name), ranked) for name in measures]
    inputs: list[Cell] = [UNRESTORED, None, _clips(comparison.baseline), None, None]
    rows = [[*inputs, *(mean_of(comparison.baseline, name, INPUT) for name in measures)]]
    for variant in variants:
        cells = [mean_of(variant, name) for name in measures]
        mark = " (baseline)" if variant is comparison.baseline else ""
        runs = list(variant.runs.values())
        rows.append(
            [
                f"{printable(variant.label)}{mark}",
                len(runs),
                _clips(variant),
                _mean([run.parameters / 1e6 for run in runs]),
                _mean([run.seconds / 60 for run in runs]),
                *cells,
            ]
        )
    notes = [] if ranked else ["Nothing is ranked, since not all variants are known to be measured on the same clips."]
    return Table([*about, *columns], rows, notes)


def _clips(variant: Variant) -> int:
    return len(frozenset().union(*variant.clips.values()))


def _mean(numbers: Sequence[float]) -> float:
    return sum(numbers) / len(numbers)


def differences_table(comparison: Comparison, measure: str) -> Table:
    """One row a variant: its difference to the baseline by one measure, and what tests say of it."""
    form = number_form(measure)
    columns = [
        Column("variant"),
        Column(
            f"{printable(measure)} less {printable(comparison.baseline.label)}", better_side(measure), f"+{form}", False
        ),
        Column("p (Holm)", form=".3g"),
        Column("shown"),
        Column("higher on seeds"),
        Column("higher on clips"),
        Column("detectable", form=form),
        Column("p over clips", form=".3g"),
        Column("p over seeds", form=".3g"),
    ]
    rows = [_difference_row(test) for test in comparison.of(measure)]
    reasons = [f"{test.variant}: {test.reason}." for test in comparison.of(measure) if test.reason]
    return Table(columns, rows, [printable(reason) for reason in reasons])


def _difference_row(test: Tested) -> list[Cell]:
    found = test.difference
    if found is None:
        return [printable(test.variant), *[None] * 8]
    mean: Cell = found.mean if found.interval is None else Estimated(found.mean, *found.interval)
    return [
        printable(test.variant),
        mean,
        test.corrected,
        "yes" if test.shown else "no",
        f"{found.seeds_above} of {found.seeds}",
        f"{found.clips_above} of {found.clips}",
        test.detectable,
        found.p_clips,
        found.p_seeds,
    ]


def all_differences(comparison: Comparison) -> Table:
    """Every test with all of its numbers, for programs."""
    names = [
        *("measure", "variant", "baseline", "difference", "low", "high", "bootstrap_low", "bootstrap_high", "covers"),
        *("p", "p_holm", "p_clips", "p_seeds", "shown", "detectable", "seeds", "clips", "seeds_higher"),
        *("clips_higher", "reason"),
    ]
    rows: list[list[Cell]] = []
    for test in comparison.tests:
        about: list[Cell] = [test.measure, test.variant, comparison.baseline.label]
        found = test.difference
        if found is None:
            rows.append([*about, *[None] * 16, test.reason])
            continue
        ends = [*(found.interval or (None, None)), *(test.bootstrap or (None, None))]
        numbers = [
            found.p,
            test.corrected,
            found.p_clips,
            found.p_seeds,
            "yes" if test.shown else "no",
            test.detectable,
        ]
        counts = [found.seeds, found.clips, found.seeds_above, found.clips_above]
        rows.append([*about, found.mean, *ends, found.covers, *numbers, *counts, test.reason])
    return Table([Column(name) for name in names], rows)


def numbers_table(comparison: Comparison) -> Table:
    """Every number that the comparison is made of: one row for each variant, seed and clip."""
    columns = [Column("variant"), Column("seed"), Column("clip"), Column("sha256"), *map(Column, comparison.measures)]
    rows: list[list[Cell]] = [
        [variant.label, seed, run.clip_names[clip], clip, *(numbers.get(name) for name in comparison.measures)]
        for variant in comparison.variants
        for seed, run in variant.runs.items()
        for clip, numbers in run.clips.items()
    ]
    return Table(columns, rows)


def settings_table(comparison: Comparison) -> Table:
    """Every setting in which a variant differs from the baseline."""
    rows: list[list[Cell]] = [
        [printable(variant.label), printable(key), printable(str(before)), printable(str(after))]
        for variant in comparison.variants
        if variant is not comparison.baseline
        for key, (before, after) in changes(comparison.baseline.first, variant.first).items()
    ]
    return Table([Column("variant"), Column("setting"), Column("baseline"), Column("variant's")], rows)


def runs_table(comparison: Comparison) -> Table:
    """Every run that was compared."""
    columns = [Column("variant"), Column("seed"), Column("run"), Column("time (min)", form=".1f"), Column("commit")]
    rows = [_run_row(variant.label, seed, run) for variant in comparison.variants for seed, run in variant.runs.items()]
    return Table(columns, rows)


def _run_row(label: str, seed: int, run: FinishedRun) -> list[Cell]:
    name = f"{run.folder.parent.name}/{run.folder.name}"
    return [printable(label), str(seed), printable(name), run.seconds / 60, run.commit or "not recorded"]
