"""Faces of a segment's frames, looked for once, and what networks see in them, seen once."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from dvface.metrics.segment import Segment, Side
from dvface.perception.detection import Face, FaceDetector
from dvface.perception.pixels import to_bytes


@dataclass(eq=False)
class View:
    """A frame as detectors read it.

    Attributes:
        pixels: (H, W, 3) uint8 RGB.
        found: what was found in it, by who looked.
    """

    pixels: NDArray[np.uint8]
    found: dict[Hashable, object] = field(default_factory=dict)


@dataclass(eq=False)
class Sighting:
    """A face in a frame.

    Attributes:
        pixels: the frame, (H, W, 3) uint8 RGB.
        face: where it is.
        found: what was found in the face, by who looked.
    """

    pixels: NDArray[np.uint8]
    face: Face
    found: dict[Hashable, object] = field(default_factory=dict)


class _Noted(Protocol):
    found: dict[Hashable, object]


Looked = TypeVar("Looked", bound=_Noted)
Finding = TypeVar("Finding")


def noted(things: Sequence[Looked], key: Hashable, look: Callable[[list[Looked]], Sequence[Finding]]) -> list[Finding]:
    """What ``look`` finds in each of ``things``; those that were looked at under ``key`` are not looked at again.

    Args:
        things: frames or faces; the same one may come twice.
        key: of what is found: who looks (the network object itself) and for what.
        look: all new ones -> as many findings.
    """
    new = list({id(thing): thing for thing in things if key not in thing.found}.values())
    for thing, finding in zip(new, look(new) if new else (), strict=True):
        thing.found[key] = finding
    return [thing.found[key] for thing in things]  # type: ignore[misc]


def views(segment: Segment, side: Side) -> list[View]:
    """Each frame of a side, the leading one included."""
    return segment.seen("8-bit frames", side, _views)


def faces(segment: Segment, detector: FaceDetector, side: Side) -> list[list[Sighting]]:
    """The faces of each frame of a side, largest first, the leading frame included."""

    def look(some: list[View]) -> list[list[Sighting]]:
        found = detector.detect([view.pixels for view in some])
        return [[Sighting(view.pixels, face) for face in every] for view, every in zip(some, found, strict=True)]

    return noted(views(segment, side), (detector, "faces"), look)


def same_face(one: Sequence[Sighting], other: Sequence[Sighting]) -> tuple[Sighting, Sighting] | None:
    """Of two frames' faces the two that lie at one place: those whose boxes share most area; None where none do."""
    pairs = [(first, second) for first in one for second in other]
    areas = [_shared_area(first.face, second.face) for first, second in pairs]
    if not areas or max(areas) <= 0:
        return None
    return pairs[int(np.argmax(areas))]


def _shared_area(one: Face, other: Face) -> float:
    corner, opposite = np.maximum(one.box[:2], other.box[:2]), np.minimum(one.box[2:], other.box[2:])
    width, height = (opposite - corner).tolist()
    return float(max(0.0, width) * max(0.0, height))


def _views(frames: Tensor) -> list[View]:
    return [View(frame) for frame in to_bytes(frames)]
