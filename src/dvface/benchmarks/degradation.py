"""Our recipes against the same steps written plainly, on one core, in one run."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from dvface.benchmarks.plain import apply_plainly
from dvface.degradation.codecs import VideoCodec
from dvface.degradation.combine import Chain, OneOf, Shuffled
from dvface.degradation.compression import JPEG
from dvface.degradation.operator import Clip, Operator, Sometimes
from dvface.degradation.recipe import Recipe
from dvface.report.progress import Progress
from dvface.seeding import derive_generator

REPEATS = 3
"""Each clip is timed so often on each side; the best counts, since disturbances only ever add."""


@dataclass(frozen=True)
class Speed:
    """One recipe's figures, frames a second on one core; the same clips and draws for all.

    Attributes:
        recipe: its name.
        ours: with everything.
        plain: the rival with everything.
        ours_without_codecs: with codecs (video and JPEG) left out.
        plain_without_codecs: the rival likewise.
        codec_share: of our time that codecs take: the floor, since they are the same code on both sides.
        difference: largest difference of pixels in [0, 1] between both, without codecs.
    """

    recipe: str
    ours: float
    plain: float
    ours_without_codecs: float
    plain_without_codecs: float
    codec_share: float
    difference: float


def measure_speed(recipe: Recipe, clips: Sequence[Clip], seed: int) -> Speed:
    """Degrade every clip by us and plainly, with and without codecs.

    Args:
        recipe: of operators that `apply_plainly` knows.
        clips: (T, H, W, 3) float32 in [0, 1].
        seed: of the draws.
    """
    cv2.setNumThreads(1)
    records = [
        recipe(clip, derive_generator(seed, "benchmark", recipe.name, number))[1] for number, clip in enumerate(clips)
    ]
    seconds = dict.fromkeys(("ours", "plain", "ours_bare", "plain_bare"), 0.0)
    difference = 0.0
    with Progress(recipe.name, total=len(clips)) as bar:
        for clip, record in zip(clips, records, strict=True):
            frames = list(clip)
            for name, work in (
                ("ours", partial(_ours, recipe, clip, record, True)),
                ("plain", partial(_plain, recipe, frames, record, True)),
                ("ours_bare", partial(_ours, recipe, clip, record, False)),
                ("plain_bare", partial(_plain, recipe, frames, record, False)),
            ):
                seconds[name] += min(_spent(work) for _ in range(REPEATS))
            gap = np.abs(_ours(recipe, clip, record, False) - _plain(recipe, frames, record, False))
            difference = max(difference, float(gap.max()))
            bar.advance()
    count = sum(map(len, clips))
    rates = {name: count / spent for name, spent in seconds.items()}
    share = 1 - seconds["ours_bare"] / seconds["ours"]
    return Speed(recipe.name, rates["ours"], rates["plain"], rates["ours_bare"], rates["plain_bare"], share, difference)


def _spent(work: Callable[[], Any]) -> float:
    """Seconds of processor time; what was made is dropped, so that the next finds the same memory free."""
    started = time.process_time()
    work()
    return time.process_time() - started


def _plain(recipe: Recipe, frames: list[np.ndarray], record: Mapping[str, Any], codecs: bool) -> np.ndarray:
    for step in record["steps"]:
        frames = apply_plainly(recipe.operators[step["operator"]], frames, step["parameters"], codecs)
    return np.stack([np.clip(frame, 0, 1) for frame in frames])


def _ours(recipe: Recipe, clip: Clip, record: Mapping[str, Any], codecs: bool) -> Clip:
    if codecs:
        return recipe.replay(clip, record)
    for step in record["steps"]:
        clip = _without_codecs(recipe.operators[step["operator"]], clip, step["parameters"])
    return np.clip(clip, 0, 1)


def _without_codecs(operator: Operator, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
    match operator:
        case JPEG() | VideoCodec():
            return clip
        case Sometimes():
            if not parameters["applied"]:
                return clip
            return _without_codecs(operator.operator, clip, parameters["parameters"])
        case OneOf():
            return _without_codecs(operator.operators[parameters["chosen"]], clip, parameters["parameters"])
        case Chain() | Shuffled():
            for step in parameters["steps"]:
                clip = _without_codecs(operator.operators[step["operator"]], clip, step["parameters"])
            return clip
        case _:
            return operator.apply(clip, parameters)
