"""The page of an evaluation: one HTML file that loads nothing from elsewhere."""

import base64
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dvface.evaluation.page_template import TEMPLATE
from dvface.evaluation.panel import error_panel
from dvface.evaluation.results import ClipResult, Measure, SetResult, WorstFrame
from dvface.evaluation.tables import (
    clips_table,
    footnotes,
    measure_column,
    measures_of,
    methods_table,
    number_form,
)
from dvface.report.lines import BANDS, COLUMNS, STYLE, Line, line_class, line_plot
from dvface.report.shell import render
from dvface.report.tables import Cell, Column, Table

__all__ = ["error_panel", "evaluation_page"]

MOST_PICTURES = 7_500_000  # bytes of JPEG or PNG, a third more in the page
MOST_CURVES = 10_000_000  # characters of SVG
FEWEST_COLUMNS, FEWEST_BANDS = 80, 16  # of a plot where there are many: still enough to see a peak
POINT, BAND, BAND_LINE = 24, 90, 24  # characters of SVG, about: a pixel column of a line, a band, a line in a band
SIGNATURES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


def evaluation_page(results: Sequence[SetResult], pictures: Path) -> str:
    """One self-contained page: means, every clip with its curves and worst frames, what each number is.

    It stays below about 25 MB however many clips there are: many plots are drawn with less detail, and plots and
    pictures beyond a limit are left out, which the page says.

    Args:
        results: one a method; clips of the same name are shown together.
        pictures: folder below which the files of `WorstFrame.picture` lie; one that is missing is said.

    Returns:
        HTML that encodes as UTF-8; names and remarks in it are escaped.
    """
    names = list(dict.fromkeys(clip.name for result in results for clip in result.clips))
    measures = measures_of(results)
    plots, shown = _Plots(results), _Pictures(results, pictures)
    clips = [_clip(results, name, measures, plots, shown) for name in names]
    return render(
        TEMPLATE,
        title="Evaluation" if len(results) != 1 else f"Evaluation of {results[0].method}",
        line_style=STYLE,
        methods=methods_table(results),
        notes=footnotes([_without_clip_remarks(result) for result in results]).sentences,
        clip_count=len(names),
        clip_tables=[(result.method, clips_table(result)) for result in results],
        counts=f"{plots.drawn} of {plots.count} plots and {shown.embedded} of {shown.count} pictures are in this page.",
        legend=[(result.method, line_class(number)) for number, result in enumerate(results)],
        clips=clips,
        definitions=_definitions(measures),
        left_out=_left_out(results),
    )


@dataclass(frozen=True)
class _Plot:
    """Curves of one measure, or why there are none."""

    heading: str
    picture: str | None
    reason: str = ""


@dataclass(frozen=True)
class _Frame:
    """A worst frame as a data URI, or why there is none."""

    caption: str
    picture: str | None
    reason: str = ""


@dataclass(frozen=True)
class _Clip:
    """What is shown of one clip."""

    name: str
    table: Table
    remarks: list[str]
    plots: list[_Plot]
    frames: list[_Frame]


Found = list[tuple[SetResult, ClipResult]]


class _Plots:
    """Draws curves, with the detail that all plots of the page leave to each, until there is no room for more."""

    def __init__(self, results: Sequence[SetResult]) -> None:
        self.count = len({(clip.name, name) for result in results for clip in result.clips for name in clip.per_frame})
        self.drawn = 0
        self._left = MOST_CURVES
        lines = max(len(results), 1)
        fullest = COLUMNS * POINT * lines + BANDS * (BAND + BAND_LINE * lines)
        share = min(1.0, MOST_CURVES / (fullest * max(self.count, 1)))
        self._columns = max(FEWEST_COLUMNS, int(COLUMNS * share))
        self._bands = max(FEWEST_BANDS, int(BANDS * share))

    def draw(self, measure: Measure, lines: Sequence[Line]) -> _Plot:
        """Curves of ``measure`` on one clip, one line a method."""
        heading = measure_column(measure).heading
        if not any(_finite(line.values) for line in lines):
            return _Plot(heading, None, "no frame has a number")
        if self._left <= 0:
            return _Plot(heading, None, "not drawn, the page is full: the numbers stand in frames.csv")
        picture = line_plot(measure.name, lines, number_form(measure.name), self._columns, self._bands)
        self._left -= len(picture)
        self.drawn += 1
        return _Plot(heading, picture)


def _finite(values: Sequence[float | None]) -> bool:
    return any(value is not None and abs(value) < float("inf") for value in values)


class _Pictures:
    """Takes the worst frames' pictures into the page until there is no room for more.

    Every clip's worst comes before any clip's second, so that a full page lacks the least.
    """

    def __init__(self, results: Sequence[SetResult], folder: Path) -> None:
        worst = [frame for result in results for clip in result.clips for frame in enumerate(clip.worst)]
        self.count = len(worst)
        self.embedded = 0
        self._folder = folder
        self._chosen: set[int] = set()
        left = MOST_PICTURES
        for _, frame in sorted(worst, key=lambda ranked: ranked[0]):
            path = folder / frame.picture
            left -= path.stat().st_size if path.is_file() else 0
            if left >= 0:
                self._chosen.add(id(frame))

    def frame(self, caption: str, frame: WorstFrame) -> _Frame:
        """The picture of a worst frame."""
        picture = frame.picture
        path = self._folder / picture
        if not path.is_file():
            return _Frame(caption, None, f"{picture} is missing")
        if id(frame) not in self._chosen:
            return _Frame(caption, None, f"not in this page, which is full: {picture}")
        content = path.read_bytes()
        kind = next((kind for start, kind in SIGNATURES.items() if content.startswith(start)), None)
        if kind is None:
            return _Frame(caption, None, f"{picture} is neither JPEG nor PNG")
        self.embedded += 1
        return _Frame(caption, f"data:{kind};base64,{base64.b64encode(content).decode()}")


def _clip(
    results: Sequence[SetResult], name: str, measures: dict[str, Measure], plots: _Plots, pictures: _Pictures
) -> _Clip:
    found: Found = [(result, clip) for result in results for clip in result.clips if clip.name == name]
    of_frames = [measure for measure in measures.values() if any(measure.name in clip.per_frame for _, clip in found)]
    return _Clip(
        name=name,
        table=_clip_table(found, measures),
        remarks=[
            f"{result.method}: {remark}" if len(results) > 1 else remark
            for result, clip in found
            for remark in clip.remarks
        ],
        plots=[plots.draw(measure, list(_lines(results, found, measure.name))) for measure in of_frames],
        frames=[
            pictures.frame(
                f"{result.method}, frame {frame.frame:,}: {frame.measure} {frame.value:{number_form(frame.measure)}}",
                frame,
            )
            for result, clip in found
            for frame in clip.worst
        ],
    )


def _clip_table(found: Found, measures: dict[str, Measure]) -> Table:
    """A row a method, on one clip."""
    shown = [measure for measure in measures.values() if any(measure.name in clip.values for _, clip in found)]
    rows: list[list[Cell]] = [
        [result.method, clip.frames, clip.offset, *(clip.values.get(measure.name) for measure in shown)]
        for result, clip in found
    ]
    return Table([Column("method"), Column("frames"), Column("offset"), *map(measure_column, shown)], rows)


def _lines(results: Sequence[SetResult], found: Found, measure: str) -> Iterator[Line]:
    """A line for every method, so that colours mean the same in all plots; empty where it has no such numbers."""
    clips = {result.method: clip for result, clip in found}
    for result in results:
        clip = clips.get(result.method)
        if clip is None or measure not in clip.per_frame:
            yield Line(result.method, [], [])
        else:
            yield Line(result.method, clip.numbers, clip.per_frame[measure])


def _definitions(measures: dict[str, Measure]) -> Table:
    rows: list[list[Cell]] = [
        [
            one.name,
            "higher" if one.higher_is_better else "lower",
            one.definition,
            one.network or "no network",
        ]
        for one in measures.values()
    ]
    return Table([Column("measure"), Column("better"), Column("what it is"), Column("network")], rows)


def _left_out(results: Sequence[SetResult]) -> Table:
    """Each reason once, with the methods that it holds for."""
    methods: dict[tuple[str, str], list[str]] = {}
    for result in results:
        for name, why in result.left_out.items():
            methods.setdefault((name, why), []).append(result.method)
    rows: list[list[Cell]] = [
        [name, "all" if len(whose) == len(results) else ", ".join(whose), why] for (name, why), whose in methods.items()
    ]
    return Table([Column("measure"), Column("methods"), Column("why")], rows)


def _without_clip_remarks(result: SetResult) -> SetResult:
    """The page tells a clip's remarks at the clip."""
    return replace(result, clips=[replace(clip, remarks=()) for clip in result.clips])
