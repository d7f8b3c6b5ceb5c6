"""What the tests of the degrade command share."""

import hashlib
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import DegradeSettings, validated
from dvface.data_prep.degrade import degrade
from dvface.degradation.recipe import Recipe
from dvface.video.write import write_video

RATE = Fraction(30000, 1001)


def run(source: Path, folder: Path, *words: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """`dvface degrade` in this process, by default with one job; returns the data set's folder."""
    chosen = [f"input={source}", f"output={folder}", "degradation=light", "jobs=1", *words]
    degrade(validated(DegradeSettings, resolve(load("degrade", chosen))), say)
    return folder


def light() -> Recipe:
    return build(resolve(load("degrade", ["input=a", "output=b", "degradation=light"]))["degradation"])


def write_folder(folder: Path, frames: np.ndarray) -> Path:
    """Two videos, one of them deeper and of odd size, and one folder of frames."""
    (folder / "deep" / "pictures").mkdir(parents=True)
    write_video(folder / "a clip.mp4", frames[:9], RATE)
    write_video(folder / "deep" / "б.mkv", frames[20:31, :, :-1], Fraction(25), pixel_format="yuv444p")
    for number in range(10):
        Image.fromarray(frames[40 + number]).save(folder / "deep" / "pictures" / f"{number}.png")
    return folder


def contents(folder: Path) -> dict[str, str]:
    """Every file's digest, hidden ones too."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
