"""Where the time of `dvface restore` goes, part by part, from file to file."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from dvface.benchmarks.footage import talking_head
from dvface.inference.job import restore_file
from dvface.inference.options import Mode, RestoreOptions
from dvface.inference.output import chosen_output
from dvface.models.restorer import Restorer
from dvface.perception.detection import FaceDetector
from dvface.training.part_clock import PartClock, Watches
from dvface.video.pictures import open_source
from dvface.video.write import write_video

RATE = Fraction(25)
DEGRADED = 4
"""How many times smaller the footage is made before it is enlarged again."""


@dataclass(frozen=True)
class Restoring:
    """Seconds of one restoration.

    Attributes:
        frames: how many.
        seconds: of the whole, from file to file.
        parts: seconds by part; what no part explains is ``rest``: windows, crops, masks, pasting.
    """

    frames: int
    seconds: float
    parts: dict[str, float]


def write_clip(path: Path, frames: int, height: int, width: int) -> None:
    """A talking man, once or, in a wide picture, in the middle of it; degraded and compressed."""
    (clip,) = talking_head(1, frames, height)
    side = max(0, (width - height) // 2)
    for number, frame in enumerate(clip):
        small = cv2.resize(frame, None, fx=1 / DEGRADED, fy=1 / DEGRADED, interpolation=cv2.INTER_AREA)
        clip[number] = cv2.resize(small, (height, height), interpolation=cv2.INTER_CUBIC)
    wide = np.pad(clip, ((0, 0), (0, 0), (side, width - height - side), (0, 0)), mode="edge")
    write_video(path, np.rint(wide.clip(0, 1) * 255).astype(np.uint8), RATE)


def time_restoring(
    model: Restorer, detector: Callable[[], FaceDetector], video: Path, mode: Mode, settle: Callable[[], None]
) -> Restoring:
    """Restore ``video`` once, beside itself, and book the time.

    Args:
        model: in evaluation mode, on its device.
        detector: opens the detector; opening is not counted.
        video: a file.
        mode: of `RestoreOptions`.
        settle: waits for the device.
    """
    eyes = detector()
    options = RestoreOptions(mode=mode, overwrite=True)
    target = video.with_name(f"{video.stem}-{mode}.mp4")
    clock = PartClock("rest", settle)
    watches = Watches(clock)
    watches.add(eyes, "detect", "detect")
    watches.add(model.autoencoder, "encode", "encode latents")
    watches.add(model.autoencoder, "decode", "decode latents")
    for name in ("prior", "backbone", "refinement"):
        watches.add(getattr(model, name), "forward", name)
    try:
        clock.restart()
        began = perf_counter()
        report = restore_file(model, video, target, options, lambda: eyes, _silent)
        seconds = perf_counter() - began
        clock.book()
    finally:
        watches.take_back()
    parts = {part: spent.seconds for part, spent in clock.spent.items()}
    looks = 1 if report.faces is None else 2
    outside = {"decode video": looks * _reading(video), "encode video": _writing(target, options)}
    parts["rest"] = max(0.0, parts["rest"] - sum(outside.values()))
    return Restoring(report.frames, seconds, {**outside, **parts})


def _reading(video: Path) -> float:
    began = perf_counter()
    for _ in open_source(video).frames():
        continue
    return perf_counter() - began


def _writing(video: Path, options: RestoreOptions) -> float:
    """Seconds to encode the frames of ``video``, which are read before."""
    source = open_source(video)
    frames = list(source.frames())
    target = video.with_name(f"{video.stem}-again.mp4")
    output = chosen_output(target, source.facts, options)
    began = perf_counter()
    output.write(target, frames, 0)
    return perf_counter() - began


class _Nothing:
    def advance(self, units: int = 1) -> None:
        """Tell nobody."""


@contextmanager
def _silent(title: str, total: int | None, start: int) -> Iterator[_Nothing]:
    yield _Nothing()
