"""`dvface compare`: runs in, tables and one page out."""

from collections.abc import Callable, Sequence
from pathlib import Path

from dvface.comparison.analysis import Comparison, tests
from dvface.comparison.conclusion import conclusion
from dvface.comparison.runs import FinishedRun, NotComparedError, read_run
from dvface.comparison.selection import choose, runs_below
from dvface.comparison.settings import CompareSettings
from dvface.comparison.tables import means_table
from dvface.comparison.variants import Variant, baseline_of, group, variants_of
from dvface.comparison.writing import write_comparison
from dvface.errors import UserError, nearest
from dvface.studies.study import Study, read_study, study_runs
from dvface.tracking.compare import place

FOOTAGE = "held_out"


def compare(settings: CompareSettings, say: Callable[[str], None]) -> Path:
    """Compare what the settings choose.

    Args:
        settings: of the command.
        say: prints a line for the user.

    Returns:
        The folder that was written.

    Raises:
        UserError: nothing that is chosen can be compared, or a name is unknown.
    """
    if settings.study is not None and settings.runs is not None:
        raise UserError("study and runs are both given; a study names its own runs: leave out one of them")
    comparison = of_study(settings, read_study(settings.study)) if settings.study is not None else of_runs(settings)
    say(means_table(comparison).text())
    for sentence in [*comparison.remarks, *conclusion(comparison)]:
        say(sentence)
    out = Path(settings.out or (f"comparison/{settings.study}" if settings.study else "comparison"))
    write_comparison(comparison, out)
    return out


def of_study(settings: CompareSettings, study: Study) -> Comparison:
    """What a study has so far; runs that are missing are said."""
    footage = settings.footage or study.footage
    planned = study_runs(study, Path(settings.folder))
    labelled, remarks = [], []
    for run in planned:
        try:
            labelled.append((run.label, read_run(run.folder, footage)))
        except NotComparedError as error:
            remarks.append(f"{run.label}, seed {run.seed}, is missing: {error}.")
    if not labelled:
        why = remarks[0].rstrip(".")
        raise UserError(f"study={study.name}: none of its {len(planned)} runs can be compared ({why})")
    variants, doubles = variants_of(labelled)
    order = {label: number for number, label in enumerate(study.experiments)}
    variants.sort(key=lambda variant: order[variant.label])
    wanted = settings.baseline or study.baseline
    if wanted in study.experiments and wanted not in {variant.label for variant in variants}:
        raise UserError(
            f"study={study.name}: no run of the baseline {wanted} can be compared yet; go on with the study"
        )
    measures = settings.measures or study.measures
    return _comparison(f"Study {study.name}", study.question, footage, measures, variants, wanted, remarks + doubles)


def of_runs(settings: CompareSettings) -> Comparison:
    """The runs that were named, or all that are finished."""
    footage, root = settings.footage or FOOTAGE, Path(settings.folder)
    folders = choose(settings.runs, root) if settings.runs is not None else runs_below(root)
    if not folders:
        raise UserError(f"{root} has no run yet; run: dvface train")
    runs: list[FinishedRun] = []
    remarks = []
    for folder in folders:
        try:
            runs.append(read_run(folder, footage))
        except NotComparedError as error:
            remarks.append(f"{folder.parent.name}/{folder.name} is left out: {error}.")
    if not runs:
        raise UserError(f"none of the {len(folders)} runs can be compared: {remarks[0].rstrip('.')}")
    variants, doubles = group(runs)
    return _comparison(
        "Comparison of runs", "", footage, settings.measures, variants, settings.baseline, remarks + doubles
    )


def _comparison(
    title: str,
    question: str,
    footage: str,
    measures: Sequence[str] | None,
    variants: Sequence[Variant],
    wanted: str | None,
    remarks: Sequence[str],
) -> Comparison:
    baseline = baseline_of(variants, wanted)
    known = sorted({name for variant in variants for run in variant.runs.values() for name in run.means}, key=place)
    if not known:
        raise UserError(f"no run has a measure of footage={footage}; name other runs")
    for name in measures or ():
        if name not in known:
            reasons = [
                run.left_out[name] for variant in variants for run in variant.runs.values() if name in run.left_out
            ]
            why = f"it was left out: {reasons[0]}" if reasons else f"measured were: {', '.join(known)}"
            raise UserError(f"measures={name}: no run has it{nearest(name, known)} ({why})")
    chosen = list(measures or known)
    return Comparison(
        title=title,
        question=question,
        footage=footage,
        measures=chosen,
        variants=variants,
        baseline=baseline,
        tests=tests(variants, baseline, chosen),
        remarks=[*remarks, *_unequal(variants, baseline)],
    )


def _unequal(variants: Sequence[Variant], baseline: Variant) -> list[str]:
    """What makes numbers less comparable than they look."""
    said = []
    for variant in variants:
        if set(variant.runs) != set(baseline.runs):
            seeds = ", ".join(map(str, sorted(variant.runs)))
            said.append(f"{variant.label} has the seeds {seeds}; differences are of those that the baseline has too.")
        shared = set(variant.runs) & set(baseline.runs)
        if any(variant.clips[seed] != baseline.clips[seed] for seed in shared):
            said.append(
                f"{variant.label} was not measured on the clips of {baseline.label}; differences are of those that "
                "both have, if there are any."
            )
    runs = [run for variant in variants for run in variant.runs.values()]
    if any(len(set(variant.clips.values())) > 1 for variant in variants):
        said.append("The seed of a run also draws its held-out clips: each seed has clips of its own.")
    if len({run.source for run in runs}) > 1:
        commits = sorted({run.commit or "not recorded" for run in runs})
        said.append(f"The runs were trained by different versions of the code (commits: {', '.join(commits)}).")
    if not all(run.clips for run in runs):
        said.append("Runs without numbers of clips were measured before these were kept: of them there is no test.")
    left_out = {name: reason for run in runs for name, reason in run.left_out.items()}
    return said + [f"Left out: {name}: {reason}." for name, reason in left_out.items()]
