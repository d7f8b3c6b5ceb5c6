"""What a restoration would do and need, found out on the video's beginning."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import islice
from pathlib import Path

import numpy as np

from dvface.inference.checks import check_paths, check_windows, memory_suffices
from dvface.inference.job import windowed
from dvface.inference.modes import decide
from dvface.inference.options import RestoreOptions, Watch, progress
from dvface.inference.output import chosen_output
from dvface.models.memory import peak_memory
from dvface.models.restorer import Restorer
from dvface.perception.detection import FaceDetector
from dvface.report.progress import duration_text
from dvface.video.pictures import open_source


@dataclass(frozen=True)
class Plan:
    """What restoring one video would mean.

    Attributes:
        frames: as the container promises; None where it does not say.
        width: pixels, as shown.
        height: pixels, as shown.
        rate: frames a second.
        seen: frames at the beginning on which the rest was found out.
        mode: see `dvface.inference.modes.Choice`; of the beginning.
        reason: why that mode.
        faces: face tracks in the beginning; None where nobody looked.
        window: frames restored at once.
        windows: how many there would be; None where ``frames`` is.
        seconds: that all frames would take at the pace of the beginning, writing not counted; None where ``frames`` is.
        memory: bytes that this process needed at most so far.
    """

    frames: int | None
    width: int
    height: int
    rate: float
    seen: int
    mode: str
    reason: str
    faces: int | None
    window: int
    windows: int | None
    seconds: float | None
    memory: int

    def lines(self) -> list[str]:
        """For a terminal."""
        unknown = "unknown, the file does not say"
        tracks = f"{self.faces} track{'' if self.faces == 1 else 's'}"
        faces = "not looked for" if self.faces is None else f"{tracks} in the first {self.seen} frames"
        return [
            f"frames: {unknown if self.frames is None else self.frames} of {self.width}×{self.height}, "
            f"{self.rate:.4g} a second",
            f"mode: {self.mode}, by the first {self.seen} frames: {self.reason}",
            f"faces: {faces}",
            f"windows: {unknown if self.windows is None else self.windows} of {self.window} frames",
            f"memory: {self.memory / 1e9:.2f} GB so far, with one window restored; more frames need no more",
            "time: "
            + (unknown if self.seconds is None else f"about {duration_text(self.seconds)}")
            + ", by the pace of the beginning",
        ]


def plan(
    model: Restorer,
    source: Path,
    target: Path,
    options: RestoreOptions,
    detector: Callable[[], FaceDetector],
    watch: Watch = progress,
) -> Plan:
    """Look at a video's first window, restore it, write nothing, and reckon with the rest.

    Raises:
        UserError: as `dvface.inference.job.restore_file`.
    """
    check_paths(source, target, options.overwrite)
    check_windows(model, options)
    video = open_source(source, Fraction(str(options.rate)))
    chosen_output(target, video.facts, options)
    began = time.perf_counter()
    first = np.stack([frame.pixels for frame in islice(video.frames(), options.window)])
    read = time.perf_counter() - began
    choice = decide(lambda: first, len(first), options, detector, None, watch)
    looked = time.perf_counter() - began - read
    # A second time: the first one also warms up.
    windows = windowed(model, choice, options)
    with memory_suffices():
        windows.restorer.restore(first, 0)
        began = time.perf_counter()
        windows.restorer.restore(first, 0)
    restored = time.perf_counter() - began
    total = video.facts.frames
    count = None if total is None else max(1, -(-(total - windows.overlap) // windows.step))
    pace = (looked + read * (1 if choice.faces is None else 2)) / len(first)
    return Plan(
        frames=total,
        width=video.facts.width,
        height=video.facts.height,
        rate=float(video.facts.rate),
        seen=len(first),
        mode=choice.mode,
        reason=choice.reason,
        faces=None if choice.faces is None else len(choice.faces.tracks),
        window=windows.window,
        windows=count,
        seconds=None if total is None or count is None else pace * total + restored * count,
        memory=peak_memory(next(model.parameters()).device),
    )
