"""The numbers that the DVFace paper prints, and ours beside them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dvface.errors import UserError, nearest
from dvface.evaluation.results import Measure, SetResult
from dvface.evaluation.tables import INTERVAL_NOTE, mean_cell, measures_of, number_form
from dvface.report.escape import printable
from dvface.report.tables import Cell, Column, Table

PACKAGE = Path(__file__).resolve().parents[1]

UNMARKED = (
    "Nothing is marked as best: published and measured numbers come from different programs and perhaps from "
    "different clips, so a small difference says nothing."
)


@dataclass(frozen=True)
class PublishedColumn:
    """A column of a published table.

    Attributes:
        published: its name in the paper.
        measure: ours under the same definition, None where we have none.
        better: which way is better.
        form: format specification with the digits of the paper.
        protocol: which program and network the authors most likely used.
        certainty: how sure that is.
    """

    published: str
    measure: str | None
    better: Literal["higher", "lower"]
    form: str
    protocol: str
    certainty: Literal["confirmed", "inferred", "unknown"]


@dataclass(frozen=True)
class Published:
    """A published table.

    Attributes:
        name: of the test set, as ``testset=`` takes it.
        title: as the paper calls it.
        source: paper and table, and how the numbers were read.
        clips: what is known of the clips behind it.
        columns: in the paper's order.
        rows: method -> a number for each column.
    """

    name: str
    title: str
    source: str
    clips: str
    columns: tuple[PublishedColumn, ...]
    rows: dict[str, tuple[float, ...]]

    def table(self) -> Table:
        """As it was printed, best bold and second underlined: its numbers stem from one hand."""
        columns = [Column(one.published, one.better, one.form) for one in self.columns]
        rows: list[list[Cell]] = [[method, *numbers] for method, numbers in self.rows.items()]
        return Table([Column("method"), *columns], rows, [f"{self.source}.", f"Clips: {self.clips}."])


def folder() -> Path:
    """Where the tables lie: inside the package once installed from a wheel, in ``experiments`` in a checkout."""
    packaged = PACKAGE / "published"
    return packaged if packaged.is_dir() else PACKAGE.parents[1] / "experiments" / "published"


def published_names() -> list[str]:
    """Every table there is."""
    return sorted(path.stem for path in folder().glob("*.json"))


def published_table(name: str) -> Published:
    """The published table of a test set.

    Raises:
        UserError: there is none of that name.
    """
    known = published_names()
    if name not in known:
        raise UserError(
            f"testset={name}: nothing is published under this name{nearest(name, known)} (one of: {', '.join(known)})"
        )
    found = json.loads((folder() / f"{name}.json").read_text(encoding="utf-8"))
    source = found["source"]
    return Published(
        name=found["name"],
        title=found["title"],
        source=f"{source['paper']}, {source['table']}, read from {source['read_from']}",
        clips=found["clips"],
        columns=tuple(PublishedColumn(**column) for column in found["columns"]),
        rows={method: tuple(numbers) for method, numbers in found["rows"].items()},
    )


def measured_table(testset: str) -> Published:
    """`published_table`, of numbers that we measure too.

    Raises:
        UserError: there is no such table, or it has no column that we measure.
    """
    published = published_table(testset)
    if not any(column.measure for column in published.columns):
        raise UserError(f"testset={testset}: its columns are not measured on videos; choose another table")
    return published


def beside_published(results: Sequence[SetResult], testset: str) -> Table:
    """The published rows and, below them, ours: in a column only what is measured under its definition.

    Columns without a counterpart of ours stay empty in our rows, and measures of ours without a column are told below
    the table. Nothing is marked as best, since the two kinds of numbers do not come from one program.

    Args:
        results: one row each.
        testset: name of the published table.

    Raises:
        UserError: there is no such table, or it has no column that we measure.
    """
    published = measured_table(testset)
    columns = [Column(one.published, one.better, one.form, ranked=False) for one in published.columns]
    rows: list[list[Cell]] = [[method, "published", *numbers] for method, numbers in published.rows.items()]
    rows += [
        [
            printable(result.method),
            "measured",
            *(None if one.measure is None else mean_cell(result, one.measure) for one in published.columns),
        ]
        for result in results
    ]
    notes = _notes(published, results)
    return Table([Column("method"), Column("numbers"), *columns], rows, [printable(note) for note in notes])


def _notes(published: Published, results: Sequence[SetResult]) -> list[str]:
    measured = measures_of(results)
    counts = ", ".join(f"{result.method} {len(result.clips)}" for result in results)
    found = [f"Published: {published.source}.", f"Published on: {published.clips}. Measured on clips: {counts}."]
    found.append(UNMARKED)
    if any(result.interval for result in results):
        found.append(INTERVAL_NOTE)
    found += [_protocol(column, measured) for column in published.columns if column.measure in measured]
    empty = [_why_empty(column) for column in published.columns if column.measure not in measured]
    if empty:
        found.append(f"No number of ours: {'; '.join(empty)}.")
    taken = {column.measure for column in published.columns}
    found += [
        f"Measured, no published counterpart: {measure.name} ({measure.definition}): {_numbers(results, measure)}."
        for measure in measured.values()
        if measure.name not in taken
    ]
    found += dict.fromkeys(f"Left out: {name}: {why}" for result in results for name, why in result.left_out.items())
    return found


def _protocol(column: PublishedColumn, measured: dict[str, Measure]) -> str:
    """What is known of a published column in which a measure of ours stands."""
    how = {
        "confirmed": "confirmed",
        "inferred": "inferred, not stated by the authors",
        "unknown": "unknown: the two numbers share a name and perhaps no more",
    }[column.certainty]
    assert column.measure is not None
    network = measured[column.measure].network or "no network"
    return f"{column.published} [{how}]: {column.protocol}; ours: {column.measure} ({network})."


def _why_empty(column: PublishedColumn) -> str:
    if column.measure is None:
        return f"{column.published} (no measure of ours is the same: {column.protocol})"
    return f"{column.published} (needs {column.measure})"


def _numbers(results: Sequence[SetResult], measure: Measure) -> str:
    form = Column(measure.name, form=number_form(measure.name))
    cells = [(result.method, mean_cell(result, measure.name)) for result in results]
    return ", ".join(f"{method} {form.show(cell)} {form.show_interval(cell)}".rstrip() for method, cell in cells)
