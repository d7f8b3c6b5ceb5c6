"""What was measured: a clip, a set of clips, and how sure the set's means are."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dvface.seeding import derive_generator

RESAMPLES = 10_000
DRAWN_AT_ONCE = 500
CONFIDENCE = 0.95


@dataclass(frozen=True)
class WorstFrame:
    """One of the frames of a clip with the worst number of a measure.

    Attributes:
        frame: its number in the restored video, from 0.
        measure: whose number it is.
        value: the number.
        picture: file below the output folder that shows restored, clean and their difference.
    """

    frame: int
    measure: str
    value: float
    picture: str


@dataclass(frozen=True)
class ClipResult:
    """One clip of one method.

    Attributes:
        name: of the clip.
        frames: how many were compared.
        offset: reference frame that the first restored frame shows; 0 where both are in step.
        values: measure -> the clip's number; a measure without an answer is not in it.
        per_frame: measure -> a number for each compared frame, None where there is none; measures of frames alone.
        numbers: of the compared frames in the restored video, in the order of ``per_frame``.
        remarks: sentences that the reader of the numbers must know.
        worst: frames to look at, the worst first.
    """

    name: str
    frames: int
    offset: int
    values: Mapping[str, float]
    per_frame: Mapping[str, Sequence[float | None]] = field(default_factory=dict)
    numbers: Sequence[int] = ()
    remarks: Sequence[str] = ()
    worst: Sequence[WorstFrame] = ()


@dataclass(frozen=True)
class Measure:
    """What the numbers of a measure are.

    Attributes:
        name: as it was chosen.
        definition: half a sentence.
        higher_is_better: which way is up.
        network: file name of its pretrained network, None where there is none.
    """

    name: str
    definition: str
    higher_is_better: bool
    network: str | None


@dataclass(frozen=True)
class SetResult:
    """A set of clips of one method.

    Attributes:
        method: how tables call it.
        clips: in order.
        mean: measure -> the set's number: the mean over clips, of a distribution measure its distance.
        interval: measure -> 95 % bootstrap interval of the mean over clips; one of a single clip, or of no mean, is
            missing.
        measures: what was measured, in order.
        left_out: measure -> why it has no number.
        remarks: sentences on the set, such as clips without a twin.
    """

    method: str
    clips: Sequence[ClipResult]
    mean: Mapping[str, float]
    interval: Mapping[str, tuple[float, float]]
    measures: Sequence[Measure]
    left_out: Mapping[str, str]
    remarks: Sequence[str] = ()

    def as_json(self) -> dict[str, Any]:
        """What ``metrics.json`` holds; single frames' numbers stand in ``frames.csv``."""
        return {
            "method": self.method,
            "mean": dict(self.mean),
            "interval": {name: list(ends) for name, ends in self.interval.items()},
            "clips": [
                {
                    "name": clip.name,
                    "frames": clip.frames,
                    "offset": clip.offset,
                    **clip.values,
                    "remarks": list(clip.remarks),
                    "worst": [asdict(frame) for frame in clip.worst],
                }
                for clip in self.clips
            ],
            "networks": {measure.name: measure.network for measure in self.measures},
            "definitions": {measure.name: measure.definition for measure in self.measures},
            "left_out": dict(self.left_out),
            "remarks": list(self.remarks),
        }


def bootstrap_intervals(values: NDArray[np.float64], seed: int = 0) -> list[tuple[float, float]]:
    """The 95 % percentile bootstrap intervals of means (Efron 1979), clips drawn with replacement.

    Args:
        values: (N, M) numbers of N clips, at least two: fewer say nothing about spread. M measures share the draws.
        seed: of the 10,000 draws.

    Returns:
        The two ends of each of the M intervals.
    """
    clips = len(values)
    generator = derive_generator(seed, "bootstrap", clips)
    # a resample is how often each clip is drawn; a few hundred at once bound the memory
    means = [
        generator.multinomial(clips, np.full(clips, 1 / clips), size=DRAWN_AT_ONCE).astype(np.float64) @ values / clips
        for _ in range(RESAMPLES // DRAWN_AT_ONCE)
    ]
    lows, highs = np.quantile(np.concatenate(means), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2], axis=0)
    return list(zip(lows.tolist(), highs.tolist(), strict=True))


def intervals(clips: Sequence[ClipResult], measures: Sequence[str]) -> dict[str, tuple[float, float]]:
    """`bootstrap_intervals` of each measure over the clips that have a finite number of it, where two do."""
    alike: dict[tuple[int, ...], list[str]] = {}
    for name in measures:
        having = tuple(index for index, clip in enumerate(clips) if math.isfinite(clip.values.get(name, math.nan)))
        alike.setdefault(having, []).append(name)
    found: dict[str, tuple[float, float]] = {}
    for having, names in alike.items():
        if len(having) > 1:
            values = np.array([[clips[index].values[name] for name in names] for index in having], np.float64)
            found.update(zip(names, bootstrap_intervals(values), strict=True))
    return found
