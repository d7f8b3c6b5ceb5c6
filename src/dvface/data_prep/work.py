"""What a worker does: one unit from clean clips to files."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dvface.data.pairing import Degradation, degrade_once
from dvface.data.shards import Clip
from dvface.data_prep.formats import Format
from dvface.data_prep.plan import CleanClip, Rejection, Unit
from dvface.errors import UserError
from dvface.files import write_text

PARTS = ".parts"
"""Folder of the data set in which a file for each unit says that it is done, until all are."""

HIGHEST_PSNR = 100.0  # as `dvface.metrics.psnr`, which imports torch


@dataclass(frozen=True)
class Work:
    """Everything about the data set that a worker needs to know; calling it makes a unit.

    Attributes:
        recipe: degrades the clips.
        seed: of the data set.
        form: writes the files.
        folder: the data set.
    """

    recipe: Degradation
    seed: int
    form: Format
    folder: Path

    def __call__(self, unit: Unit) -> Unit:
        """Make ``unit`` and, last, its part file: killed before, the unit is made again.

        What can be wrong with an input is written into the part file; all else is raised.
        """
        rejections: list[Rejection] = []
        with one_thread():
            entries = self.form.write(self.folder, unit.name, self._pairs(unit, rejections))
        lines = [*entries, *({"source": one.source, "reason": one.reason} for one in rejections)]
        text = "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines)
        write_text(part_file(self.folder, unit), text)
        return unit

    def _pairs(self, unit: Unit, rejections: list[Rejection]) -> Iterator[Clip]:
        """The unit's pairs; what gives none goes to ``rejections``."""
        for found in unit.read():
            pair = found if isinstance(found, Rejection) else self._pair(found)
            if isinstance(pair, Rejection):
                rejections.append(pair)
            else:
                yield pair

    def _pair(self, clip: CleanClip) -> Clip | Rejection:
        try:
            degraded, record = degrade_once(self.recipe, clip.frames, self.seed, clip.key)
        except (UserError, ValueError, cv2.error, av.FFmpegError) as error:
            # Such as a size that a codec cannot take: the next clip may do.
            return Rejection(str(clip.meta["source"]), f"{clip.key}: {' '.join(str(error).split())}")
        meta = {**clip.meta, "psnr": psnr(degraded, clip.frames), "record": record}
        return Clip(clip.key, clip.frames, clip.rate, degraded, meta)


def part_file(folder: Path, unit: Unit) -> Path:
    """The file that says that ``unit`` is done."""
    return folder / PARTS / f"{unit.name}.jsonl"


def read_part(folder: Path, unit: Unit) -> tuple[list[dict[str, Any]], list[Rejection]]:
    """The manifest's entries of a unit that is done, and what was rejected."""
    text = part_file(folder, unit).read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.split("\n") if line]
    rejections = [Rejection(line["source"], line["reason"]) for line in lines if "reason" in line]
    return [line for line in lines if "reason" not in line], rejections


def psnr(degraded: Iterable[np.ndarray], clean: Iterable[np.ndarray]) -> float:
    """PSNR in dB, the mean over frames, to four decimals.

    Args:
        degraded: T frames of (H, W, 3) uint8 RGB, taken one at a time.
        clean: as many of the same shape.
    """
    values = []
    for one, other in zip(degraded, clean, strict=True):
        # Whole numbers: the sum is exact on every machine.
        error = int(np.square(one.astype(np.int64) - other).sum())
        values.append(min(10 * np.log10(255**2 * one.size / error), HIGHEST_PSNR) if error else HIGHEST_PSNR)
    return round(float(np.mean(values)), 4)


@contextmanager
def one_thread() -> Iterator[None]:
    """OpenCV and, where it is loaded, PyTorch on one thread each: there are as many workers as cores."""
    torch = sys.modules.get("torch")
    before = cv2.getNumThreads(), torch.get_num_threads() if torch else 1
    cv2.setNumThreads(1)
    if torch:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before[0])
        if torch:
            torch.set_num_threads(before[1])
