"""Finished runs in one table: what was trained, how long, and how good it is on held-out footage."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from dvface.files import write_text
from dvface.report.pages import table_page
from dvface.report.progress import duration_text
from dvface.report.tables import Cell, Column, Compared, Table
from dvface.tracking.store import RunSummary

# A run logs the size of its network under this metric.
PARAMETERS_METRIC = "total_parameters"

# First parts of measure names, in the order of the columns; the network's name may follow (`ids_dlib`).
HIGHER_IS_BETTER = ("psnr", "ssim", "ms_ssim", "ids", "clipiqa", "musiq", "maniqa", "liqe", "dover", "cnniqa")
LOWER_IS_BETTER = (
    "stlpips",
    "lpips",
    "dists",
    "niqe",
    "akd",
    "lmd",
    "fvd",
    "fid",
    "vidd",
    "ewarp",
    "tlpips",
    "tstlpips",
    "tof",
    "frame_difference",
)

ABOUT = (
    Column("run"),
    Column("experiment"),
    Column("date (UTC)"),
    Column("parameters (M)", form=".2f"),
    Column("time"),
)


def better_side(measure: str) -> Literal["higher", "lower", "neither"]:
    """Which values of ``measure`` are better; ``neither`` for one that this project does not know."""
    if measure.startswith(HIGHER_IS_BETTER):
        return "higher"
    return "lower" if measure.startswith(LOWER_IS_BETTER) else "neither"


def comparison_table(
    runs: Sequence[RunSummary], measures: Sequence[str] | None = None, footage: str = "held_out"
) -> Table:
    """One row per finished run, in the order given.

    Args:
        runs: runs that logged ``final/<footage>/<side>/<measure>`` metrics, side ``restored`` or ``input``.
        measures: which measures to show; all that any of the runs logged by default.
        footage: which set's measures to show.

    Returns:
        Run, experiment (tag ``exp``, else the MLflow experiment), date, parameters in millions, time from
        start to end (pauses before a resumption included), then each measure as ``restored (Δ vs input)``.
    """
    finished = [run for run in runs if run.status == "FINISHED"]
    shown = _measures(finished, footage) if measures is None else measures
    columns = [
        Column(measure, better_side(measure), ".2f" if measure.startswith("psnr") else ".4f") for measure in shown
    ]
    rows = [[*_about(run), *(_result(run, footage, measure) for measure in shown)] for run in finished]
    return Table([*ABOUT, *columns], rows)


def write_comparison(table: Table, folder: str | Path) -> None:
    """Write ``comparison.md``, ``.csv``, ``.tex`` and ``.html`` into ``folder``."""
    target = Path(folder)
    write_text(target / "comparison.md", table.markdown())
    write_text(target / "comparison.csv", table.csv())
    write_text(target / "comparison.tex", table.latex())
    write_text(target / "comparison.html", table_page("Comparison of runs", table))


def _about(run: RunSummary) -> list[Cell]:
    parameters = run.metrics.get(PARAMETERS_METRIC)
    return [
        run.name,
        run.tags.get("exp", run.experiment),
        f"{run.start:%Y-%m-%d %H:%M}",
        None if parameters is None else parameters / 1e6,
        None if run.end is None else duration_text((run.end - run.start).total_seconds()),
    ]


def _result(run: RunSummary, footage: str, measure: str) -> Cell:
    restored = run.metrics.get(f"final/{footage}/restored/{measure}")
    unrestored = run.metrics.get(f"final/{footage}/input/{measure}")
    return restored if restored is None or unrestored is None else Compared(restored, unrestored)


def _measures(runs: Sequence[RunSummary], footage: str) -> list[str]:
    prefix = f"final/{footage}/restored/"
    found = {name.removeprefix(prefix) for run in runs for name in run.metrics if name.startswith(prefix)}
    return sorted(found, key=_place)


def _place(measure: str) -> tuple[int, str]:
    known = (*HIGHER_IS_BETTER, *LOWER_IS_BETTER)
    places = [place for place, name in enumerate(known) if measure.startswith(name)]
    return (min(places, default=len(known)), measure)
