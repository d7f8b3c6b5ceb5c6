"""The numbers in the report of a prepared data set."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.record import SourceRecord
from dvface.data_prep.prepare.report_data import FRAMES, Report
from dvface.report.progress import duration_text
from dvface.report.tables import MISSING, Cell, Column, Table

SPLITS = ("train", "validation", "test")
MOST_LETTERS = 200  # of a text in a table: the page must stay small whatever a file is called


def headlines(report: Report) -> list[tuple[str, str]]:
    """What the data set comes to, as (name, number) pairs."""
    people = report.people_in(report.kept)
    return [
        ("clips kept", f"{len(report.kept):,}"),
        ("clips refused", f"{len(report.refused):,}"),
        ("frames kept", f"{sum(clip.frames for clip in report.kept):,}"),
        ("length kept (h:mm:ss)", _hours(report.duration(report.kept))),
        ("sources", f"{len(report.sources):,}"),
        ("sources with kept clips", f"{len({clip.source for clip in report.kept}):,}"),
        ("recordings kept", f"{report.recordings_in(report.kept):,}"),
        ("people kept", MISSING if people is None else f"{people:,}"),
    ]


def split_table(report: Report) -> Table:
    """What each split holds; the three usual ones are listed even when they are empty."""
    columns = [
        Column("split"),
        Column("clips", form=",d"),
        Column("frames", form=",d"),
        Column("minutes", form=",.1f"),
        Column("recordings", form=",d"),
        Column("people", form=",d"),
    ]
    rows: list[list[Cell]] = []
    for split in dict.fromkeys([*SPLITS, *sorted(set(report.splits.values()))]):
        clips = [clip for clip in report.kept if report.splits[clip.key] == split]
        rows.append(
            [
                split,
                len(clips),
                sum(clip.frames for clip in clips),
                report.duration(clips) / 60,
                report.recordings_in(clips),
                report.people_in(clips),
            ]
        )
    return Table(columns, rows)


def funnel_table(report: Report) -> Table:
    """From candidates to kept clips.

    A clip that several filters refuse counts at the first in the column ``at this step``, at each of them in
    ``in all``, and at none in ``by it alone``, which tells how many clips a filter costs.
    """
    columns = [
        Column("step"),
        Column("at this step", form=",d"),
        Column("share of candidates", form=".1%"),
        Column("in all", form=",d"),
        Column("by it alone", form=",d"),
    ]
    first = Counter(next(iter(clip.failed)) for clip in report.refused)
    anywhere = Counter(name for clip in report.refused for name in clip.failed)
    alone = Counter(name for clip in report.refused for name in clip.failed if len(clip.failed) == 1)
    candidates = len(report.clips)

    def row(step: str, count: int, *others: Cell) -> list[Cell]:
        return [step, count, count / candidates if candidates else None, *others]

    rows = [
        row("candidates", candidates, None, None),
        *(row(f"refused by {name}", first[name], anywhere[name], alone[name]) for name in report.refusers),
        row("kept", len(report.kept), None, None),
    ]
    return Table(columns, rows)


def count_table(sources: Sequence[SourceRecord]) -> Table:
    """What became of frames and faces before they were candidates."""
    counts: Counter[str] = Counter()
    for source in sources:
        counts.update(source.counts)
    frames = counts[FRAMES]
    columns = [Column("what"), Column("count", form=",d"), Column("for 100 frames", form=",.1f")]
    return Table(
        columns, [[words(name), count, 100 * count / frames if frames else None] for name, count in counts.items()]
    )


def time_table(sources: Sequence[SourceRecord]) -> Table:
    """Where processor time went, the longest step first."""
    seconds: Counter[str] = Counter()
    for source in sources:
        seconds.update(source.seconds)
    frames = sum(source.counts.get(FRAMES, 0) for source in sources)
    total = sum(seconds.values())
    columns = [
        Column("step"),
        Column("seconds", form=",.1f"),
        Column("share", form=".1%"),
        Column("frames a second and core", form=",.0f"),
    ]
    steps = [*seconds.most_common(), ("all", total)] if total > 0 else []
    return Table(
        columns,
        [[words(step), spent, spent / total, frames / spent if spent > 0 else None] for step, spent in steps],
    )


def source_table(report: Report, most: int) -> Table:
    """The first ``most`` sources: those of which nothing was made, then those with remarks, then the others."""
    columns = [
        Column("source"),
        Column("facts"),
        Column("kept", form=",d"),
        Column("candidates", form=",d"),
        Column("frames", form=",d"),
        Column("remarks"),
        Column("nothing was made of it"),
    ]
    kept = Counter(clip.source for clip in report.kept)
    candidates = Counter(clip.source for clip in report.clips)
    ordered = sorted(report.sources, key=lambda source: (source.reason is None, not source.remarks))
    rows: list[list[Cell]] = [
        [
            cut(source.name),
            cut(_facts(source.facts)),
            kept[source.key],
            candidates[source.key],
            source.counts.get(FRAMES),
            cut(" · ".join(source.remarks)),
            cut(source.reason or ""),
        ]
        for source in ordered[:most]
    ]
    return Table(columns, rows)


def ignored_table(ignored: Sequence[Rejection], most: int) -> Table:
    """The first ``most`` files that were passed over."""
    rows = [[cut(one.source), cut(one.reason)] for one in ignored[:most]]
    return Table([Column("file"), Column("why")], rows)


def cut(text: str) -> str:
    """``text``, its middle left out when it is too long."""
    half = MOST_LETTERS // 2
    return text if len(text) <= MOST_LETTERS else f"{text[: half - 1]} … {text[2 - half :]}"


def words(name: str) -> str:
    """A name of the configuration in words."""
    return name.replace("_", " ")


def _facts(facts: Mapping[str, Any]) -> str:
    """Facts as a line; what is unknown or does not apply is left out."""
    told = {name: value for name, value in facts.items() if value is not None and value is not False}
    return ", ".join(words(name) if value is True else f"{words(name)} {_short(value)}" for name, value in told.items())


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _hours(seconds: float) -> str:
    text = duration_text(seconds)
    return text if text.count(":") == 2 else f"0:{text}"
