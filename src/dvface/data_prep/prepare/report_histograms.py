"""How what was measured of clips is spread, and where the filters' thresholds lie."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from dvface.data_prep.prepare.report_data import FRAMES, Report
from dvface.data_prep.prepare.report_tables import words
from dvface.report.histograms import histogram

MEASURES = {"size": "span", "stillness": "movement", "identity": "identity_change"}
"""What a filter measures where the two have different names."""


@dataclass(frozen=True)
class MeasureHistogram:
    """A drawn measure.

    Attributes:
        name: in words.
        picture: SVG.
        low: 5 % quantile.
        median: the middle.
        high: 95 % quantile.
        count: values.
    """

    name: str
    picture: str
    low: str
    median: str
    high: str
    count: int


def measure_histograms(report: Report) -> Iterator[MeasureHistogram]:
    """Every measure, kept and refused clips apart, then the lengths of clips and of sources with and without any."""
    for measure in dict.fromkeys(name for clip in report.clips for name in clip.measures):
        kept, refused = (
            [clip.measures[measure] for clip in clips if measure in clip.measures]
            for clips in (report.kept, report.refused)
        )
        yield _drawn(words(measure), kept, refused, thresholds(report.filters, measure))
    if report.clips:
        kept, refused = ([float(clip.frames) for clip in clips] for clips in (report.kept, report.refused))
        yield _drawn("frames of a clip", kept, refused, {})
    useful = {clip.source for clip in report.kept}
    lengths = [(source.key in useful, source.counts[FRAMES]) for source in report.sources if FRAMES in source.counts]
    if lengths:
        kept, refused = ([float(length) for good, length in lengths if good is wanted] for wanted in (True, False))
        yield _drawn("frames of a source", kept, refused, {})


def thresholds(filters: Mapping[str, Mapping[str, Any]], measure: str) -> dict[str, float]:
    """Where ``measure`` decides about clips.

    Args:
        filters: settings of the filters by name.
        measure: a measure's name.

    Returns:
        ``least`` and ``most``, where they are set, of the filter that is called like the measure (or stands in
        `MEASURES`), and ``least_MEASURE`` and ``most_MEASURE`` of any filter.
    """
    found = {}
    for name, arguments in filters.items():
        own = MEASURES.get(name, name) == measure
        for bound in ("least", "most"):
            for argument in [f"{bound}_{measure}", *([bound] if own else [])]:
                if isinstance(value := arguments.get(argument), int | float):
                    found[bound] = float(value)
    return found


def _drawn(name: str, kept: Sequence[float], refused: Sequence[float], marks: Mapping[str, float]) -> MeasureHistogram:
    low, median, high = np.quantile([*kept, *refused], (0.05, 0.5, 0.95))
    picture = histogram(name, {"kept": kept, "refused": refused}, marks)
    return MeasureHistogram(name, picture, f"{low:.4g}", f"{median:.4g}", f"{high:.4g}", len(kept) + len(refused))
