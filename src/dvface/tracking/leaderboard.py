"""The leaderboard: what was measured, of which commit, on which footage; a CSV file, and the same as Markdown."""

import csv
import io
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from math import inf
from pathlib import Path
from typing import Literal

from dvface.errors import UserError
from dvface.files import write_text
from dvface.report.progress import duration_text
from dvface.report.tables import Cell, Column, Compared, Table
from dvface.tracking.compare import better_side, place

ABOUT = (
    "footage",
    "manifest",
    "date",
    "commit",
    "dirty",
    "run",
    "experiment",
    "seed",
    "parameters",
    "seconds",
    "command",
)
INPUT = " (input)"
"""Behind the name of a measure: its number of the footage as it was given."""
SHORT = 12


@dataclass(frozen=True)
class Entry:
    """One run on one set of footage.

    Attributes:
        footage: name of the set.
        manifest: what tells its content, see `dvface.tracking.provenance.Provenance`.
        date: when the run began, UTC, ISO 8601.
        commit: of the code.
        dirty: ``true`` where the code was not, or not all the time, that of the commit; ``unknown`` without a commit.
        run: its name.
        experiment: that it trained.
        seed: of the run.
        parameters: of the network.
        seconds: that training took; None of a measured model folder.
        command: that made it, as a shell takes it.
        measures: name to number, of the restored footage.
        unrestored: the same of the footage as it was given.
    """

    footage: str
    manifest: str
    date: str
    commit: str
    dirty: Literal["true", "false", "unknown"]
    run: str
    experiment: str
    seed: int
    parameters: int
    seconds: float | None
    command: str
    measures: Mapping[str, float]
    unrestored: Mapping[str, float] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What two entries of the same run on the same footage share."""
        return self.footage, self.manifest, self.run, self.date


def add(path: Path, entries: Iterable[Entry]) -> list[Entry]:
    """Put entries into the board at ``path``, a CSV file, and write the Markdown beside it; the same run replaces.

    Returns:
        All entries, those of one footage together, the best by the first measure first.
    """
    known = {entry.key: entry for entry in read(path)}
    known |= {entry.key: entry for entry in entries}
    board = _ordered(known.values())
    write_text(path, written_csv(board))
    write_text(path.with_suffix(".md"), markdown(board))
    return board


def read(path: Path) -> list[Entry]:
    """The entries of a board; none where there is no file.

    Raises:
        UserError: it is no leaderboard.
    """
    if not path.is_file():
        return []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            return [_parsed(row) for row in csv.DictReader(file, strict=True)]
    except (ValueError, KeyError, TypeError, csv.Error) as error:
        raise UserError(f"{path} is no leaderboard ({error!r}); only dvface leaderboard writes it") from error


def written_csv(board: Sequence[Entry]) -> str:
    """One line an entry; a column for each measure that any of them has, empty where an entry lacks it."""
    names = _measures(board)
    columns = [*ABOUT, *(name + side for name in names for side in ("", INPUT))]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for entry in board:
        row = {name: getattr(entry, name) for name in ABOUT}
        row["seconds"] = "" if entry.seconds is None else f"{entry.seconds:.1f}"
        row |= {name: f"{value:.6g}" for name, value in entry.measures.items()}
        row |= {name + INPUT: f"{value:.6g}" for name, value in entry.unrestored.items()}
        writer.writerow(row)
    return text.getvalue()


def markdown(board: Sequence[Entry]) -> str:
    """A table for each set of footage: numbers of different footage never stand in one."""
    parts = [
        "# Leaderboard\n\n"
        "Written by `dvface leaderboard` from `leaderboard.csv`; never edited by hand. Only rows of one table are\n"
        "comparable: they were measured on the same footage. In brackets: the change against the input.\n"
    ]
    for (footage, manifest), group in groupby(board, lambda entry: (entry.footage, entry.manifest)):
        entries = list(group)
        commands = "".join(f"    {entry.run}: {' '.join(entry.command.split())}\n" for entry in entries)
        parts.append(f"\n## {footage}, manifest `{manifest}`\n\n{table(entries).markdown()}\n{commands}")
    return "".join(parts)


def table(entries: Sequence[Entry]) -> Table:
    """The entries of one set of footage side by side."""
    names = _measures(entries)
    columns = [
        *(Column(name) for name in ("run", "experiment", "seed", "date (UTC)", "commit")),
        Column("parameters (M)", form=".2f"),
        Column("time"),
        *(Column(name, better_side(name), ".2f" if name.startswith("psnr") else ".4f") for name in names),
    ]
    return Table(columns, [[*_about(entry), *(_result(entry, name) for name in names)] for entry in entries])


def _about(entry: Entry) -> list[Cell]:
    commit = entry.commit[:SHORT] + {"true": ", changed", "false": "", "unknown": ""}[entry.dirty]
    time = None if entry.seconds is None else duration_text(entry.seconds)
    return [entry.run, entry.experiment, str(entry.seed), entry.date[:16], commit, entry.parameters / 1e6, time]


def _result(entry: Entry, name: str) -> Cell:
    value, unrestored = entry.measures.get(name), entry.unrestored.get(name)
    return value if value is None or unrestored is None else Compared(value, unrestored)


def _ordered(entries: Iterable[Entry]) -> list[Entry]:
    entries = sorted(entries, key=lambda entry: entry.key)
    ordered: list[Entry] = []
    for _, group in groupby(entries, lambda entry: (entry.footage, entry.manifest)):
        ordered += sorted(some := list(group), key=_rank(_measures(some)))
    return ordered


def _rank(names: Sequence[str]) -> Callable[[Entry], float]:
    """A key that puts the best by the first measure first, and those without it last."""

    def rank(entry: Entry) -> float:
        if not names or names[0] not in entry.measures:
            return inf
        value = entry.measures[names[0]]
        return -value if better_side(names[0]) == "higher" else value

    return rank


def _measures(entries: Iterable[Entry]) -> list[str]:
    return sorted({name for entry in entries for name in entry.measures}, key=place)


def _parsed(row: Mapping[str, str]) -> Entry:
    names = [name for name in row if name not in ABOUT and not name.endswith(INPUT)]
    about = {name: row[name] for name in ABOUT}
    if about["dirty"] not in ("true", "false", "unknown"):
        raise ValueError(f"dirty is {about['dirty']!r}")
    return Entry(
        **{  # type: ignore[arg-type]
            **about,
            "seed": int(about["seed"]),
            "parameters": int(about["parameters"]),
            "seconds": float(about["seconds"]) if about["seconds"] else None,
        },
        measures={name: float(row[name]) for name in names if row[name]},
        unrestored={name: float(row[name + INPUT]) for name in names if row.get(name + INPUT)},
    )
