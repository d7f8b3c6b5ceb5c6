"""The files that an evaluation leaves."""

from collections.abc import Sequence
from pathlib import Path

from dvface.evaluation.page import evaluation_page
from dvface.evaluation.results import SetResult
from dvface.evaluation.tables import clips_table, footnotes, frames_csv, methods_table
from dvface.files import write_json, write_text
from dvface.report.tables import Table


def main_table(results: Sequence[SetResult]) -> Table:
    """One method clip by clip, several by their means."""
    return clips_table(results[0]) if len(results) == 1 else methods_table(results)


def write_results(results: Sequence[SetResult], out: Path) -> None:
    """Write ``metrics.json``, ``.csv``, ``.md``, ``.tex``, ``frames.csv`` and ``report.html`` into ``out``.

    ``metrics.json`` is the first method's; several stand under its key ``methods``, and each has a folder of its own
    below ``methods`` with its table and its frames.
    """
    table, notes = main_table(results), footnotes(results)
    whole = results[0].as_json()
    if len(results) > 1:
        whole["methods"] = {result.method: result.as_json() for result in results}
        for result in results:
            write_text(out / "methods" / result.method / "metrics.csv", clips_table(result).csv())
            write_text(out / "methods" / result.method / "frames.csv", "".join(frames_csv(result)))
    else:
        write_text(out / "frames.csv", "".join(frames_csv(results[0])))
    write_json(out / "metrics.json", whole)
    write_text(out / "metrics.csv", table.csv())
    write_text(out / "metrics.md", table.markdown() + notes.markdown())
    write_text(out / "metrics.tex", table.latex() + notes.latex())
    write_text(out / "report.html", evaluation_page(results, out))
