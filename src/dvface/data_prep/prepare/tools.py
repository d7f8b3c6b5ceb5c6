"""The parts that a worker uses, built from the command's configuration once a process."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from dvface.config.build import build
from dvface.data_prep.prepare.crops import Crop
from dvface.data_prep.prepare.face_clip import Filter
from dvface.data_prep.prepare.frames import SceneDetector
from dvface.data_prep.prepare.identity import Identity
from dvface.perception.detection import FaceDetector

PARTS = ("detector", "scenes", "crop", "filters", "identity")
"""Keys of the configuration that describe parts to be built."""


@dataclass(frozen=True)
class Tools:
    """What turns footage into clips.

    Attributes:
        detector: finds faces.
        scenes: finds cuts.
        crop: places the crop.
        filters: by name, in their order.
        identity: tells people apart.
        tracking: arguments of `dvface.perception.tracks.Tracker`.
        clip_frames: T.
        size: side of the crops.
        smoothing: of landmarks, in frames.
        rate: frames a second to which faster footage is thinned, None for none.
    """

    detector: FaceDetector
    scenes: SceneDetector
    crop: Crop
    filters: Mapping[str, Filter]
    identity: Identity
    tracking: Mapping[str, Any]
    clip_frames: int
    size: int
    smoothing: float
    rate: Fraction | None


def specification(settings: Mapping[str, Any]) -> str:
    """The part of the command's settings that decides about clips, as JSON."""
    wanted = (*PARTS, "tracking", "clip_frames", "size", "smoothing", "rate")
    return json.dumps({key: settings[key] for key in wanted})


@lru_cache(maxsize=1)
def open_tools(text: str) -> Tools:
    """The tools that a `specification` describes; the same ones for the same text, since networks load slowly.

    Raises:
        UserError: a part refuses its arguments.
        WeightsMissing: a part needs a file that is not at hand.
    """
    tree = json.loads(text)
    built = {key: build(tree[key]) for key in PARTS if key != "filters"}
    filters = {name: build(one) for name, one in tree["filters"].items()}
    others = {key: tree[key] for key in ("tracking", "clip_frames", "size", "smoothing")}
    rate = None if tree["rate"] is None else Fraction(str(tree["rate"]))
    return Tools(**built, **others, filters=filters, rate=rate)
