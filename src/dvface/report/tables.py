"""One table, written as Markdown, CSV, LaTeX or plain text."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from dvface.report.escape import not_computed

MISSING = "–"
ARROWS = {"higher": " ↑", "lower": " ↓", "neither": ""}
LATEX_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        "↑": r"$\uparrow$",
        "↓": r"$\downarrow$",
        "Δ": r"$\Delta$",
        "\n": " ",
        **{special: f"\\{special}" for special in "&%$#_{}"},
    }
)
MARKDOWN_ESCAPES = str.maketrans({"\\": r"\\", "|": r"\|", "<": "&lt;", "\n": " "})


class Mark(Enum):
    """A cell's place among the numbers of its column."""

    NONE = "none"
    BEST = "best"
    SECOND = "second"


@dataclass(frozen=True)
class Compared:
    """A number shown with its difference from a reference, ``31.20 (+1.35)``; it is ranked by ``value``."""

    value: float
    reference: float

    @property
    def change(self) -> float:
        """value - reference."""
        return self.value - self.reference


@dataclass(frozen=True)
class Estimated:
    """A number shown with the interval that it lies in, ``31.20 [30.85, 31.55]``; it is ranked by ``value``."""

    value: float
    low: float
    high: float


Cell = str | int | float | Compared | Estimated | None
EXTRAS: dict[type, tuple[str, ...]] = {Compared: ("change",), Estimated: ("low", "high")}
"""What a kind of cell says beside its value."""


@dataclass(frozen=True)
class Column:
    """A column's heading and form.

    Attributes:
        name: the heading.
        better: which numbers are better; with ``neither`` nothing is marked.
        form: format specification of the numbers, e.g. ``.2f``.
        ranked: whether best and second are marked; false where the rows are no rivals.
    """

    name: str
    better: Literal["higher", "lower", "neither"] = "neither"
    form: str = ""
    ranked: bool = True

    @property
    def heading(self) -> str:
        """The name with an arrow towards better."""
        return self.name + ARROWS[self.better]

    def show(self, cell: Cell) -> str:
        """What of the cell takes its mark; a dash for None."""
        match cell:
            case None:
                return MISSING
            case str():
                return cell
            case Compared(value=value):
                return f"{value:{self.form}} ({cell.change:+{self.form}})"
            case Estimated(value=value):
                return f"{value:{self.form}}"
            case _:
                return f"{cell:{self.form}}"

    def show_interval(self, cell: Cell) -> str:
        """What stands beside the cell's number, unmarked: the interval of an `Estimated`."""
        return f"[{cell.low:{self.form}}, {cell.high:{self.form}}]" if isinstance(cell, Estimated) else ""

    def marks(self, cells: Sequence[Cell]) -> list[Mark]:
        """Best and second of the numbers in ``cells``; numbers that print alike share a place.

        Nothing is marked where fewer than two different numbers stand, and never a NaN.
        """
        shown = {index: f"{number:{self.form}}" for index, number in _numbers(cells)}
        ranked = sorted(_numbers(cells), key=lambda pair: pair[1], reverse=self.better == "higher")
        places = list(dict.fromkeys(shown[index] for index, _ in ranked))
        if not self.ranked or self.better == "neither" or len(places) < 2:
            return [Mark.NONE] * len(cells)
        place_marks = {places[0]: Mark.BEST, places[1]: Mark.SECOND}
        return [place_marks.get(shown.get(index, ""), Mark.NONE) for index in range(len(cells))]


def _numbers(cells: Sequence[Cell]) -> list[tuple[int, float]]:
    """(row, number) of each cell that holds a number other than NaN."""
    values = [cell.value if isinstance(cell, Compared | Estimated) else cell for cell in cells]
    return [(row, value) for row, value in enumerate(values) if isinstance(value, int | float) and value == value]


@dataclass(frozen=True)
class ShownCell:
    """A cell's texts, not yet escaped for any format, and its mark.

    Attributes:
        number: what takes the mark.
        mark: best, second or none.
        interval: what stands beside it unmarked, empty where nothing does.
    """

    number: str
    mark: Mark
    interval: str = ""

    @property
    def text(self) -> str:
        """Both texts in a row."""
        return f"{self.number} {self.interval}" if self.interval else self.number


@dataclass(frozen=True)
class Notes:
    """Sentences that stand below a table."""

    sentences: Sequence[str]

    def markdown(self) -> str:
        """A list behind an empty line."""
        lines = [f"- {sentence.translate(MARKDOWN_ESCAPES)}\n" for sentence in self.sentences]
        return "".join(["\n", *lines]) if lines else ""

    def latex(self) -> str:
        """A small paragraph each."""
        lines = [rf"\par\noindent{{\footnotesize {one.translate(LATEX_ESCAPES)}\par}}" for one in self.sentences]
        return "".join(f"{line}\n" for line in lines)

    def text(self) -> str:
        """Lines behind an empty line."""
        return "".join(f"{line}\n" for line in ["", *self.sentences]) if self.sentences else ""


class Table:
    """A table of rows under named columns.

    Args:
        columns: the headings, in order.
        rows: each as long as ``columns``.
        notes: sentences that stand below the table in every form but CSV.

    Raises:
        ValueError: a row's length differs from the number of columns.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]], notes: Sequence[str] = ()) -> None:
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"a row has {len(row)} cells under {len(columns)} columns: {row}")
        self.columns = tuple(columns)
        self.rows = tuple(tuple(row) for row in rows)
        self.notes = Notes(tuple(notes))

    def shown(self) -> list[list[ShownCell]]:
        """The rows as texts with their marks."""
        marks = [column.marks(self._cells(index)) for index, column in enumerate(self.columns)]
        return [
            [
                ShownCell(column.show(cell), marks[index][row], column.show_interval(cell))
                for index, (column, cell) in enumerate(zip(self.columns, cells, strict=True))
            ]
            for row, cells in enumerate(self.rows)
        ]

    def numeric(self, index: int) -> bool:
        """Whether the column holds a number; such columns are aligned to the right."""
        return bool(_numbers(self._cells(index)))

    def markdown(self) -> str:
        """A GitHub table: best in ``**bold**``, second in ``<u>underline</u>``."""
        forms = {Mark.NONE: "{}", Mark.BEST: "**{}**", Mark.SECOND: "<u>{}</u>"}
        headings = [column.heading.translate(MARKDOWN_ESCAPES) for column in self.columns]
        rules = ["---:" if self.numeric(index) else "---" for index in range(len(self.columns))]
        rows = [[_written(cell, forms, " {}", MARKDOWN_ESCAPES) for cell in row] for row in self.shown()]
        lines = [f"| {' | '.join(cells)} |\n" for cells in [headings, rules, *rows]]
        return "".join(lines) + self.notes.markdown()

    def latex(self) -> str:
        r"""A booktabs tabular: best in ``\textbf``, second in ``\underline``."""
        forms = {Mark.NONE: "{}", Mark.BEST: r"\textbf{{{}}}", Mark.SECOND: r"\underline{{{}}}"}
        alignment = "".join("r" if self.numeric(index) else "l" for index in range(len(self.columns)))
        headings = [column.heading.translate(LATEX_ESCAPES) for column in self.columns]
        rows = [[_written(cell, forms, r" {{\scriptsize {}}}", LATEX_ESCAPES) for cell in row] for row in self.shown()]
        # behind the \\ that ends a row a bracket would be an argument
        lines = [" & ".join(cells) + r" \\" for cells in [headings, *rows]]
        head, *body = [f"{{}}{line}" if line.startswith("[") else line for line in lines]
        begin = ["% needs \\usepackage{booktabs}", rf"\begin{{tabular}}{{{alignment}}}", r"\toprule"]
        lines = [*begin, head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]
        return "".join(f"{line}\n" for line in lines) + self.notes.latex()

    def text(self) -> str:
        """Aligned columns for a terminal, without marks."""
        headings = [column.heading for column in self.columns]
        lines = [headings, *([cell.text for cell in row] for row in self.shown())]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]
        aligned = ["  ".join(self._padded(line, widths)).rstrip() for line in lines]
        rule = "  ".join("-" * width for width in widths)
        return "".join(f"{line}\n" for line in [aligned[0], rule, *aligned[1:]]) + self.notes.text()

    def csv(self) -> str:
        """Numbers in full precision, empty for None; other numbers of a cell get columns of their own.

        These are ``NAME change`` of a compared column, ``NAME low`` and ``NAME high`` of an estimated one. No cell is a
        formula, see `not_computed`.
        """
        lines: list[list[Cell]] = [[] for _ in range(1 + len(self.rows))]
        for index, column in enumerate(self.columns):
            cells = self._cells(index)
            kinds = [kind for kind in EXTRAS if any(isinstance(cell, kind) for cell in cells)]
            lines[0] += [column.name, *(f"{column.name} {extra}" for kind in kinds for extra in EXTRAS[kind])]
            for line, cell in zip(lines[1:], cells, strict=True):
                line.append(cell.value if isinstance(cell, Compared | Estimated) else cell)
                line += [
                    getattr(cell, extra) if isinstance(cell, kind) else None for kind in kinds for extra in EXTRAS[kind]
                ]
        output = io.StringIO()
        csv.writer(output, lineterminator="\n").writerows([not_computed(cell) for cell in line] for line in lines)
        return output.getvalue()

    def _cells(self, index: int) -> list[Cell]:
        return [row[index] for row in self.rows]

    def _padded(self, texts: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            text.rjust(width) if self.numeric(index) else text.ljust(width)
            for index, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]


def _written(cell: ShownCell, forms: dict[Mark, str], beside: str, escapes: dict[int, str]) -> str:
    """The number in the form of its mark, and the interval in the form ``beside``."""
    number = forms[cell.mark].format(cell.number.translate(escapes))
    return number + (beside.format(cell.interval.translate(escapes)) if cell.interval else "")
