"""Inputs opened, and their frames brought to the size of a test set."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from dvface.data_prep.prepare.archives import open_source
from dvface.data_prep.prepare.source import Source
from dvface.errors import UserError
from dvface.video.probe import probe


@contextmanager
def opened(source: Source, scratch: Path) -> Iterator[Path]:
    """As `open_source`; errors raised within name the input as users know it, wherever its bytes were unpacked."""
    path = source.path
    try:
        with open_source(source, scratch) as path:
            yield path
    except UserError as error:
        text = str(error).replace(str(path), source.name).replace(str(source.path), source.name)
        raise UserError(text.removeprefix(f"{source.name} ")) from error


def resized(frame: np.ndarray, height: int, width: int) -> np.ndarray:
    """Enlarged by bicubic interpolation as the field does, or shrunk by the mean over areas: (height, width, 3)."""
    if frame.shape[:2] == (height, width):
        return frame
    shrinks = height * width < frame.shape[0] * frame.shape[1]
    return cv2.resize(frame, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


def squares(frames: Iterable[np.ndarray], size: int, path: Path) -> Iterator[np.ndarray]:
    """The frames, which must be square, as (size, size, 3).

    Raises:
        UserError: they are not square.
    """
    for frame in frames:
        height, width, _ = frame.shape
        if height != width:
            raise UserError(f"{path} is {width}×{height}, no square crop of a face; crop it first")
        yield resized(frame, size, size)


def rate_of(path: Path, of_folders: int) -> Fraction:
    """Frames a second of a video; ``of_folders`` for a folder of frames, which has none."""
    return Fraction(of_folders) if path.is_dir() else probe(path).rate
