"""What the report of a prepared data set is made of."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.record import ClipRecord, SourceRecord
from dvface.seeding import derive_seed

FRAMES = "frames"
"""Key in `SourceRecord.counts` of the frames that were decoded."""


@dataclass(frozen=True)
class Report:
    """A prepared data set, in plain values.

    Attributes:
        settings: of the command, JSON.
        filters: settings of whatever may refuse a clip, by name and in the order in which they judge; a number
            called ``least`` or ``most``, ``least_MEASURE`` or ``most_MEASURE`` is a threshold.
        detector: name of what found the faces.
        detector_files: its weights, as users know them.
        sources: every source.
        clips: every candidate, kept or refused; names in ``failed`` that are no filters, such as ``duplicate``,
            count like them.
        ignored: files of the input that are no video.
        splits: ``train``, ``validation`` or ``test`` of every kept clip, by its key.
        people: who is seen, by the key of a clip; a clip whose person is unknown may be missing.
        recordings: of every source with clips, by its key.
        rates: frames a second of the clips of every source with clips, by its key.
        strip: the `dvface.data_prep.prepare.strips.strip` of the clip with a key, None where there is none.
    """

    settings: Mapping[str, Any]
    filters: Mapping[str, Mapping[str, Any]]
    detector: str
    detector_files: Sequence[str]
    sources: Sequence[SourceRecord]
    clips: Sequence[ClipRecord]
    ignored: Sequence[Rejection]
    splits: Mapping[str, str]
    people: Mapping[str, str]
    recordings: Mapping[str, str]
    rates: Mapping[str, float]
    strip: Callable[[str], bytes | None]

    @cached_property
    def kept(self) -> list[ClipRecord]:
        """Clips that nothing refused."""
        return [clip for clip in self.clips if not clip.failed]

    @cached_property
    def refused(self) -> list[ClipRecord]:
        """The others."""
        return [clip for clip in self.clips if clip.failed]

    @cached_property
    def refusers(self) -> list[str]:
        """Names of the filters and of what else refused a clip."""
        return list(dict.fromkeys([*self.filters, *(name for clip in self.refused for name in clip.failed)]))

    def duration(self, clips: Sequence[ClipRecord]) -> float:
        """Seconds of all ``clips``."""
        return sum(clip.frames / self.rates[clip.source] for clip in clips)

    def people_in(self, clips: Sequence[ClipRecord]) -> int | None:
        """How many people ``clips`` show; None where nobody is known."""
        return len({self.people[clip.key] for clip in clips if clip.key in self.people}) or None

    def recordings_in(self, clips: Sequence[ClipRecord]) -> int:
        """How many recordings ``clips`` come from."""
        return len({self.recordings[clip.source] for clip in clips})


def refused_by(report: Report, name: str) -> list[ClipRecord]:
    """Clips to judge a filter by: those that it alone refuses, or where there are none, all that it refuses."""
    failing = [clip for clip in report.refused if name in clip.failed]
    return [clip for clip in failing if len(clip.failed) == 1] or failing


def examples(clips: Sequence[ClipRecord], most: int) -> list[ClipRecord]:
    """At most ``most`` clips, spread evenly over their sources and in the order of their keys.

    Every source gives one before any gives two. The choice depends on the keys alone, not on the order of ``clips``.
    """
    queues: dict[str, list[ClipRecord]] = {}
    for clip in sorted(clips, key=lambda clip: derive_seed(0, clip.key)):
        queues.setdefault(clip.source, []).append(clip)
    chosen: list[ClipRecord] = []
    while queues and len(chosen) < most:
        names = sorted(queues)
        wanted = min(most - len(chosen), len(names))
        chosen += [queues[names[number * len(names) // wanted]].pop() for number in range(wanted)]
        queues = {name: queue for name, queue in queues.items() if queue}
    return sorted(chosen, key=lambda clip: clip.key)
