"""The files that a comparison leaves."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from dvface.comparison.analysis import Comparison
from dvface.comparison.conclusion import METHOD, conclusion
from dvface.comparison.curves import curves
from dvface.comparison.media import MOST_BYTES, shown_clips
from dvface.comparison.page_template import SCRIPT, TEMPLATE
from dvface.comparison.tables import (
    all_differences,
    differences_table,
    means_table,
    numbers_table,
    runs_table,
    settings_table,
)
from dvface.files import write_text
from dvface.report.escape import printable
from dvface.report.lines import STYLE, line_class
from dvface.report.shell import render
from dvface.report.tables import Notes, Table


def write_comparison(comparison: Comparison, out: Path) -> None:
    """Write ``comparison.html``, ``.md``, ``.tex`` and ``.csv``, and all tests and numbers as CSV, into ``out``."""
    write_text(out / "comparison.html", comparison_page(comparison))
    write_text(out / "comparison.md", comparison_markdown(comparison))
    write_text(out / "comparison.tex", comparison_latex(comparison))
    write_text(out / "comparison.csv", means_table(comparison).csv())
    write_text(out / "differences.csv", all_differences(comparison).csv())
    write_text(out / "numbers.csv", numbers_table(comparison).csv())


def comparison_page(comparison: Comparison) -> str:
    """One HTML page that loads nothing from elsewhere; one button plays a clip through all variants in step."""
    drawn = groupby(curves(comparison.variants), key=lambda curve: curve.stage)
    return render(
        TEMPLATE,
        SCRIPT,
        title=comparison.title,
        line_style=STYLE,
        question=comparison.question,
        conclusion=conclusion(comparison),
        remarks=comparison.remarks,
        footage=comparison.footage,
        baseline=comparison.baseline.label,
        means=means_table(comparison),
        differences=_differences(comparison),
        method=METHOD,
        clips=shown_clips(comparison.variants, comparison.baseline, MOST_BYTES),
        legend=[(variant.label, line_class(number)) for number, variant in enumerate(comparison.variants)],
        stages=[(stage, list(pictures)) for stage, pictures in drawn],
        settings=settings_table(comparison),
        runs=runs_table(comparison),
    )


def comparison_markdown(comparison: Comparison) -> str:
    """What the page says, without pictures."""
    parts = [f"# {_line(comparison.title)}\n"]
    if comparison.question:
        parts.append(f"**{_line(comparison.question)}**\n")
    parts += [_list(conclusion(comparison)), _list(comparison.remarks)]
    parts += [f"## Means on {_line(comparison.footage)}\n", means_table(comparison).markdown()]
    parts.append(f"## Differences to {_line(comparison.baseline.label)}\n")
    for measure, table in _differences(comparison):
        parts += [f"### {_line(measure)}\n", table.markdown()]
    parts.append(_list(METHOD))
    settings = settings_table(comparison)
    if settings.rows:
        parts += ["## Settings in which variants differ\n", settings.markdown()]
    parts += ["## Runs\n", runs_table(comparison).markdown()]
    return "\n".join(part for part in parts if part)


def comparison_latex(comparison: Comparison) -> str:
    """The tables of means and of differences, with what must be known of them."""
    tables = [means_table(comparison), *(table for _, table in _differences(comparison))]
    return "\n".join(table.latex() for table in tables) + Notes([*conclusion(comparison), *METHOD]).latex()


def _differences(comparison: Comparison) -> list[tuple[str, Table]]:
    return [(measure, differences_table(comparison, measure)) for measure in comparison.measures if comparison.tests]


def _list(sentences: Sequence[str]) -> str:
    return Notes([printable(sentence) for sentence in sentences]).markdown().lstrip("\n")


def _line(text: str) -> str:
    """A text of ours or of a file's as one line of Markdown that holds no HTML."""
    return printable(" ".join(text.split())).replace("<", "&lt;")
