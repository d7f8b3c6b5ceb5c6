"""What was measured as tables for terminals, papers and programs."""

import csv
import io
from collections.abc import Iterator, Sequence

from dvface.evaluation.results import CONFIDENCE, RESAMPLES, Measure, SetResult
from dvface.report.escape import not_computed, printable
from dvface.report.tables import Cell, Column, Estimated, Notes, Table

TWO_DIGITS = ("psnr", "musiq", "niqe", "liqe", "fvd", "fid")
"""First parts of the names of measures with numbers so large that papers print two digits behind the point."""

INTERVAL_NOTE = f"[low, high]: {CONFIDENCE:.0%} bootstrap interval of the mean over clips, {RESAMPLES:,} resamples."


def number_form(measure: str) -> str:
    """Format specification of a measure's numbers, as papers of this field print them."""
    return ".2f" if measure.startswith(TWO_DIGITS) else ".4f"


def measure_column(measure: Measure, ranked: bool = True) -> Column:
    """The column of a measure, with an arrow towards better."""
    form = number_form(measure.name)
    return Column(printable(measure.name), "higher" if measure.higher_is_better else "lower", form, ranked)


def clips_table(result: SetResult) -> Table:
    """One row a clip and the mean with its interval in the last; nothing is marked: clips are no rivals."""
    names = [measure.name for measure in result.measures]
    rows: list[list[Cell]] = [
        [printable(clip.name), clip.frames, *(clip.values.get(name) for name in names)] for clip in result.clips
    ]
    rows.append(["mean", None, *(mean_cell(result, name) for name in names)])
    columns = [Column("clip"), Column("frames"), *(measure_column(one, ranked=False) for one in result.measures)]
    return Table(columns, rows)


def methods_table(results: Sequence[SetResult]) -> Table:
    """One row a method with its means and their intervals, the best mean bold and the second underlined."""
    measures = measures_of(results)
    rows: list[list[Cell]] = [
        [printable(result.method), len(result.clips), *(mean_cell(result, name) for name in measures)]
        for result in results
    ]
    alike = [len(set(_clips_behind(results, name).values())) == 1 for name in measures]
    ranked = [measure_column(one, same) for one, same in zip(measures.values(), alike, strict=True)]
    return Table([Column("method"), Column("clips"), *ranked], rows)


def _clips_behind(results: Sequence[SetResult], measure: str) -> dict[str, frozenset[str]]:
    """Method -> clips whose numbers its mean is over; of those that have a mean."""
    found = {}
    for result in results:
        if measure in result.mean:
            with_number = frozenset(clip.name for clip in result.clips if measure in clip.values)
            found[result.method] = with_number or frozenset(clip.name for clip in result.clips)
    return found


def _unranked(results: Sequence[SetResult]) -> list[str]:
    """Measures whose means are over different clips, and so say nothing about which method is better."""
    names = [name for name in measures_of(results) if len(set(_clips_behind(results, name).values())) > 1]
    return [f"Not ranked, since methods were measured on different clips: {', '.join(names)}."] if names else []


def frames_csv(result: SetResult) -> Iterator[str]:
    """Lines of CSV: clip, frame of the restored video, then one column a measure in full precision.

    A cell is empty where a measure has no number of that frame; measures without numbers of frames have no column.
    """
    found = {name for clip in result.clips for name in clip.per_frame}
    names = [measure.name for measure in result.measures if measure.name in found]
    yield _csv_line(["clip", "frame", *names])
    for clip in result.clips:
        empty = [None] * len(clip.numbers)
        columns = [clip.per_frame.get(name, empty) for name in names]
        for number, *values in zip(clip.numbers, *columns, strict=True):
            yield _csv_line([printable(clip.name), number, *values])


def measures_of(results: Sequence[SetResult]) -> dict[str, Measure]:
    """Every measure that any of the results has, by name and in order; the first to have it describes it."""
    found: dict[str, Measure] = {}
    for result in results:
        for measure in result.measures:
            found.setdefault(measure.name, measure)
    return found


def mean_cell(result: SetResult, measure: str) -> Cell:
    """The set's number, with its interval where there is one; None where there is no number."""
    mean, interval = result.mean.get(measure), result.interval.get(measure)
    return mean if mean is None or interval is None else Estimated(mean, *interval)


def footnotes(results: Sequence[SetResult]) -> Notes:
    """What the reader of the numbers must know: intervals, networks, what was left out, remarks.

    What does not hold for all of several methods is said with the method's name.
    """
    found = [INTERVAL_NOTE] if any(result.interval for result in results) else []
    found += _unranked(results)
    for say in (_networks, _sets_own, _left_out, _remarks):
        found += _said(results, [say(result) for result in results])
    return Notes([printable(note) for note in found])


def _networks(result: SetResult) -> list[str]:
    texts = [f"{one.name}: {one.network or 'no network'}" for one in result.measures]
    return [f"Networks: {', '.join(texts)}."] if texts else []


def _left_out(result: SetResult) -> list[str]:
    return [f"Left out: {name}: {reason}" for name, reason in result.left_out.items()]


def _remarks(result: SetResult) -> list[str]:
    of_clips = [f"{clip.name}: {remark}" for clip in result.clips for remark in clip.remarks]
    return [*result.remarks, *of_clips]


def _sets_own(result: SetResult) -> list[str]:
    """Which numbers are no means over clips."""
    names = [name for name in result.mean if not any(name in clip.values for clip in result.clips)]
    return [f"Of the whole set, no mean over clips: {', '.join(names)}."] if names else []


def _said(results: Sequence[SetResult], sentences: Sequence[Sequence[str]]) -> list[str]:
    """Each result's sentences, once: with the methods' names before a sentence that is not all methods'."""
    speakers: dict[str, list[str]] = {}
    for result, own in zip(results, sentences, strict=True):
        for sentence in dict.fromkeys(own):
            speakers.setdefault(sentence, []).append(result.method)
    return [
        sentence if len(methods) == len(results) else f"{', '.join(methods)}: {sentence}"
        for sentence, methods in speakers.items()
    ]


def _csv_line(cells: Sequence[object]) -> str:
    output = io.StringIO()
    csv.writer(output, lineterminator="\n").writerow([not_computed(cell) for cell in cells])
    return output.getvalue()
