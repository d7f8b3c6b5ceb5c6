"""What is known of a source and its clips once it was worked through: lines of its part file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class ClipRecord:
    """One candidate clip, kept or refused.

    Attributes:
        key: unique in the data set.
        source: key of the `Source`.
        track: number of the face within the source, from 0.
        first_frame: index in the source of its first frame.
        seconds: when that frame is shown.
        frames: T.
        measures: every filter's, by name.
        failed: filter name -> reason, in the filters' order; empty for a clip that is kept so far.
        person: identity embedding, None where none was asked or the face gave none.
        prints: perceptual hashes of some frames, hexadecimal; what duplicates are found by.
    """

    key: str
    source: str
    track: int
    first_frame: int
    seconds: float
    frames: int
    measures: Mapping[str, float]
    failed: Mapping[str, str]
    person: tuple[float, ...] | None = None
    prints: tuple[str, ...] = ()

    def line(self) -> dict[str, Any]:
        """JSON."""
        return {"kind": "clip", **asdict(self)}


@dataclass(frozen=True)
class SourceRecord:
    """What became of a source.

    Attributes:
        key: of the `Source`.
        name: its name.
        reason: why nothing at all was made of it; None otherwise.
        remarks: what was left out or mended, a sentence each: damage, frames that fill no clip, deinterlacing …
        facts: of the file: width, height, rate, codec …
        counts: frames and faces by what became of them, such as ``decoded``, ``without_face``, ``too_short``.
        seconds: processor time by step.
    """

    key: str
    name: str
    reason: str | None = None
    remarks: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)
    seconds: Mapping[str, float] = field(default_factory=dict)

    def line(self) -> dict[str, Any]:
        """JSON."""
        return {"kind": "source", **asdict(self)}
