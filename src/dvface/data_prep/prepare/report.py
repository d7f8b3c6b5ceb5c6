"""The report of a prepared data set: a page to read and a picture to glance at."""

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvface.data_prep.prepare.record import ClipRecord
from dvface.data_prep.prepare.report_data import Report, examples, refused_by
from dvface.data_prep.prepare.report_histograms import measure_histograms
from dvface.data_prep.prepare.report_tables import (
    count_table,
    cut,
    funnel_table,
    headlines,
    ignored_table,
    source_table,
    split_table,
    time_table,
    words,
)
from dvface.data_prep.prepare.report_template import SECTIONS, TEMPLATE
from dvface.data_prep.prepare.strips import FRAMES, SIDE, strip_pixels
from dvface.files import write_text
from dvface.report.histograms import STYLE
from dvface.report.panels import contact_sheet, write_png

KEPT_EXAMPLES, REFUSED_EXAMPLES = 60, 8  # of all kept clips, and of each filter
MOST_SOURCES, MOST_IGNORED = 500, 200  # rows
MOST_PICTURES = 2_500_000  # bytes of JPEG, a third more in the page
SHEET_CLIPS, SHEET_COLUMNS = 48, 3


def write_report(path: Path, report: Report) -> None:
    """Write one HTML page that loads nothing from elsewhere, below 8 MB however large the data set is.

    The same report gives the same bytes.

    Args:
        path: the page.
        report: what is told.
    """
    from dvface.report.shell import render

    pictures = _Pictures(report)
    page = render(
        TEMPLATE,
        title="Prepared data set",
        histogram_style=STYLE,
        sections=SECTIONS,
        detector=cut(report.detector),
        detector_files=[cut(name) for name in report.detector_files],
        headlines=headlines(report),
        splits=split_table(report),
        funnel=funnel_table(report),
        counts=count_table(report.sources),
        histograms=list(measure_histograms(report)),
        kept=[pictures.example(clip, report.splits[clip.key]) for clip in examples(report.kept, KEPT_EXAMPLES)],
        kept_count=len(report.kept),
        refused=list(_refused(report, pictures)),
        sources=source_table(report, MOST_SOURCES),
        more_sources=max(0, len(report.sources) - MOST_SOURCES),
        ignored=ignored_table(report.ignored, MOST_IGNORED),
        more_ignored=max(0, len(report.ignored) - MOST_IGNORED),
        times=time_table(report.sources),
        settings=json.dumps(report.settings, indent=2, ensure_ascii=False).split("\n"),
    )
    write_text(path, page)


def write_contact_sheet(path: Path, report: Report) -> None:
    """Write a PNG of up to 48 kept clips, spread evenly over the sources, under their keys."""
    strips = {clip.key: report.strip(clip.key) for clip in examples(report.kept, SHEET_CLIPS)}
    panels = {key: strip_pixels(picture) for key, picture in strips.items() if picture is not None}
    if not panels:
        panels = {"no clip was kept": np.zeros((SIDE, FRAMES * SIDE, 3), np.uint8)}
    named = list(panels.items())
    write_png(path, contact_sheet([dict(named[at : at + SHEET_COLUMNS]) for at in range(0, len(named), SHEET_COLUMNS)]))


@dataclass(frozen=True)
class _Example:
    """A clip that is shown: its picture as a data URI, None where there is none or the page is full."""

    key: str
    caption: str
    picture: str | None


class _Pictures:
    """Takes strips into the page until there is no room for more."""

    def __init__(self, report: Report) -> None:
        self._strip = report.strip
        self._left = MOST_PICTURES

    def example(self, clip: ClipRecord, caption: str) -> _Example:
        """``clip`` with its strip."""
        picture = self._strip(clip.key)
        if picture is None or len(picture) > self._left:
            return _Example(cut(clip.key), cut(caption), None)
        self._left -= len(picture)
        return _Example(cut(clip.key), cut(caption), f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}")


def _refused(report: Report, pictures: _Pictures) -> Iterator[tuple[str, list[_Example]]]:
    for name in report.refusers:
        shown = examples(refused_by(report, name), REFUSED_EXAMPLES)
        if shown:
            yield words(name), [pictures.example(clip, clip.failed[name]) for clip in shown]
