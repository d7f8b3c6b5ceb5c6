"""Small videos that tests of evaluation compare."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
from PIL import Image

from dvface.video.write import EXACT, write_video


def write(path: Path, frames: np.ndarray, rate: Fraction = Fraction(25)) -> Path:
    """Write frames without any loss."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, frames, rate, **EXACT)
    return path


def write_pictures(folder: Path, frames: Sequence[np.ndarray]) -> Path:
    """Write frames as a folder of numbered png files."""
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames):
        Image.fromarray(frame).save(folder / f"{number}.png")
    return folder


def moving(frames: int, seed: int = 0, side: int = 48) -> np.ndarray:
    """A smooth texture that moves and changes, so that every frame can be told from every other."""
    rng = np.random.default_rng(seed)
    waves = rng.uniform(-0.3, 0.3, (6, 2))
    speeds, phases = rng.uniform(0.3, 1.7, 6), rng.uniform(0, 6, (6, 3))
    rows, columns, time = np.ogrid[:side, :side, :frames]
    picture = np.zeros((frames, side, side, 3))
    for (down, across), speed, phase in zip(waves, speeds, phases, strict=True):
        angle = np.moveaxis(down * rows + across * columns + speed * time, 2, 0)[..., None] + phase
        picture += np.sin(angle)
    return (127 + 18 * picture).clip(0, 255).astype(np.uint8)


def brighter(frames: np.ndarray, levels: int) -> np.ndarray:
    """Every value raised; 10 levels are 28.13 dB."""
    return (frames.astype(int) + levels).clip(0, 255).astype(np.uint8)
