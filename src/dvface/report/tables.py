"""One table, written as Markdown, CSV, LaTeX or plain text."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Literal

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


Cell = str | int | float | Compared | None


@dataclass(frozen=True)
class Column:
    """A column's heading and form.

    Attributes:
        name: the heading.
        better: which numbers are better; with ``neither`` nothing is marked.
        form: format specification of the numbers, e.g. ``.2f``.
    """

    name: str
    better: Literal["higher", "lower", "neither"] = "neither"
    form: str = ""

    @property
    def heading(self) -> str:
        """The name with an arrow towards better."""
        return self.name + ARROWS[self.better]

    def show(self, cell: Cell) -> str:
        """The cell's text; a dash for None."""
        match cell:
            case None:
                return MISSING
            case str():
                return cell
            case Compared(value=value):
                return f"{value:{self.form}} ({cell.change:+{self.form}})"
            case _:
                return f"{cell:{self.form}}"

    def marks(self, cells: Sequence[Cell]) -> list[Mark]:
        """Best and second of the numbers in ``cells``; numbers that print alike share a place.

        Nothing is marked where fewer than two different numbers stand, and never a NaN.
        """
        shown = {index: f"{number:{self.form}}" for index, number in _numbers(cells)}
        ranked = sorted(_numbers(cells), key=lambda pair: pair[1], reverse=self.better == "higher")
        places = list(dict.fromkeys(shown[index] for index, _ in ranked))
        if self.better == "neither" or len(places) < 2:
            return [Mark.NONE] * len(cells)
        place_marks = {places[0]: Mark.BEST, places[1]: Mark.SECOND}
        return [place_marks.get(shown.get(index, ""), Mark.NONE) for index in range(len(cells))]


def _numbers(cells: Sequence[Cell]) -> list[tuple[int, float]]:
    """(row, number) of each cell that holds a number other than NaN."""
    values = [cell.value if isinstance(cell, Compared) else cell for cell in cells]
    return [(row, value) for row, value in enumerate(values) if isinstance(value, int | float) and value == value]


@dataclass(frozen=True)
class ShownCell:
    """A cell's text, not yet escaped for any format, and its mark."""

    text: str
    mark: Mark


class Table:
    """A table of rows under named columns.

    Args:
        columns: the headings, in order.
        rows: each as long as ``columns``.

    Raises:
        ValueError: a row's length differs from the number of columns.
    """

    def __init__(self, columns: Sequence[Column], rows: Sequence[Sequence[Cell]]) -> None:
        for row in rows:
            if len(row) != len(columns):
                raise ValueError(f"a row has {len(row)} cells under {len(columns)} columns: {row}")
        self.columns = tuple(columns)
        self.rows = tuple(tuple(row) for row in rows)

    def shown(self) -> list[list[ShownCell]]:
        """The rows as texts with their marks."""
        marks = [column.marks(self._cells(index)) for index, column in enumerate(self.columns)]
        return [
            [
                ShownCell(column.show(cell), marks[index][row])
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
        rows = [
            [forms[cell.mark].format(cell.text.translate(MARKDOWN_ESCAPES)) for cell in row] for row in self.shown()
        ]
        return "".join(f"| {' | '.join(cells)} |\n" for cells in [headings, rules, *rows])

    def latex(self) -> str:
        r"""A booktabs tabular: best in ``\textbf``, second in ``\underline``."""
        forms = {Mark.NONE: "{}", Mark.BEST: r"\textbf{{{}}}", Mark.SECOND: r"\underline{{{}}}"}
        alignment = "".join("r" if self.numeric(index) else "l" for index in range(len(self.columns)))
        headings = [column.heading.translate(LATEX_ESCAPES) for column in self.columns]
        rows = [[forms[cell.mark].format(cell.text.translate(LATEX_ESCAPES)) for cell in row] for row in self.shown()]
        head, *body = [" & ".join(cells) + r" \\" for cells in [headings, *rows]]
        begin = ["% needs \\usepackage{booktabs}", rf"\begin{{tabular}}{{{alignment}}}", r"\toprule"]
        return "\n".join([*begin, head, r"\midrule", *body, r"\bottomrule", r"\end{tabular}"]) + "\n"

    def text(self) -> str:
        """Aligned columns for a terminal, without marks."""
        headings = [column.heading for column in self.columns]
        lines = [headings, *([cell.text for cell in row] for row in self.shown())]
        widths = [max(len(line[index]) for line in lines) for index in range(len(self.columns))]
        aligned = ["  ".join(self._padded(line, widths)).rstrip() for line in lines]
        return "\n".join([aligned[0], "  ".join("-" * width for width in widths), *aligned[1:]]) + "\n"

    def csv(self) -> str:
        """Numbers in full precision, empty for None; a compared column gets a second one, ``NAME change``."""
        compared = [
            any(isinstance(cell, Compared) for cell in self._cells(index)) for index in range(len(self.columns))
        ]
        lines: list[list[Cell]] = [[]]
        for column, twice in zip(self.columns, compared, strict=True):
            lines[0] += [column.name, f"{column.name} change"] if twice else [column.name]
        for row in self.rows:
            line: list[Cell] = []
            for cell, twice in zip(row, compared, strict=True):
                line += _with_change(cell) if twice else [cell]
            lines.append(line)
        output = io.StringIO()
        csv.writer(output, lineterminator="\n").writerows(lines)
        return output.getvalue()

    def _cells(self, index: int) -> list[Cell]:
        return [row[index] for row in self.rows]

    def _padded(self, texts: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            text.rjust(width) if self.numeric(index) else text.ljust(width)
            for index, (text, width) in enumerate(zip(texts, widths, strict=True))
        ]


def _with_change(cell: Cell) -> list[Cell]:
    return [cell.value, cell.change] if isinstance(cell, Compared) else [cell, None]
