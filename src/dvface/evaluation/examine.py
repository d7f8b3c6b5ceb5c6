"""What a video is, learnt in one fast pass that decodes brightness alone."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any, Literal, NamedTuple

import av
import cv2
import numpy as np
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from dvface.data_prep.prepare.picture_area import picture_area
from dvface.errors import UserError
from dvface.video.colour import ColourConverter
from dvface.video.read import decoded_frames, open_video, read_frames

SIDE = 16
"""Cells along each side of a signature; an hour at 30 frames a second takes 110 MB."""

LUMA = np.array([[0.2126, 0.7152, 0.0722]], np.float32)  # ITU-R BT.709
BLOCK = 256  # signatures in one piece of memory while their number is not known

ColourRange = Literal["limited", "full"]


@dataclass(frozen=True)
class Bars:
    """Rows and columns of pixels along each border that are black in all frames."""

    top: int
    bottom: int
    left: int
    right: int

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.top or self.bottom or self.left or self.right)


@dataclass(frozen=True)
class Examined:
    """One side of a pair.

    Attributes:
        path: the file or folder.
        frames: how many can be decoded.
        width: pixels, as shown: after the container's rotation.
        height: pixels, as shown.
        rate: frames a second; None for a folder of frames.
        colour_range: what the file says; None where it does not, and for a folder.
        bars: letterbox bars.
        signatures: (frames, SIDE, SIDE) means of luma, levels 0 to 255 at full range.
    """

    path: Path
    frames: int
    width: int
    height: int
    rate: Fraction | None
    colour_range: ColourRange | None
    bars: Bars
    signatures: NDArray[np.float32]


class _Luma(NamedTuple):
    """The brightness of one frame.

    Attributes:
        pixels: (H, W) numbers, not yet upright.
        black: the number that stands for level 0.
        span: how far above it the number for level 255 is.
        turns: quarters of a circle, counter-clockwise, that make it upright.
        colour_range: what the file says.
    """

    pixels: NDArray[Any]
    black: float = 0.0
    span: float = 255.0
    turns: int = 0
    colour_range: ColourRange | None = None

    def cells(self) -> NDArray[np.float32]:
        """(SIDE, SIDE) means, of numbers that stand for levels 0 to 255."""
        pixels = self.pixels
        if pixels.dtype != np.float32:  # blacker than black and whiter than white are cut off before they are averaged
            pixels = np.clip(pixels, int(self.black), int(self.black + self.span)).astype(np.float32)
        return self.upright_levels(cv2.resize(pixels, (SIDE, SIDE), interpolation=cv2.INTER_AREA))

    def upright_levels(self, values: NDArray[Any]) -> NDArray[np.float32]:
        """``values`` in the frame's own numbers as upright levels, 0 to 255."""
        levels = np.clip((values.astype(np.float32) - self.black) * (255 / self.span), 0, 255)
        return np.rot90(levels, self.turns)


def examine(path: Path, advance: Callable[[int], None]) -> Examined:
    """Look at every frame of a video file or of a folder of png/jpg frames; memory grows by the signatures alone.

    Args:
        path: the file or folder.
        advance: is called with the number of further frames that were looked at.

    Raises:
        UserError: as `read_frames`.
    """
    if path.is_dir():
        frames = (_Luma(cv2.transform(frame.astype(np.float32), LUMA)) for frame in read_frames(path))
        return _examined(path, frames, None, advance)
    with open_video(path) as (container, stream):
        stream.thread_type = "AUTO"
        rate = stream.average_rate or stream.guessed_rate
        frames = (_luma(frame) for frame in decoded_frames(container, stream, str(path)))
        return _examined(path, frames, None if rate is None else Fraction(rate), advance)


def _examined(path: Path, frames: Iterator[_Luma], rate: Fraction | None, advance: Callable[[int], None]) -> Examined:
    first = next(frames)
    brightest = first.pixels.copy()
    blocks: list[NDArray[np.float32]] = []
    count = 0
    for luma in chain([first], frames):
        if luma.pixels.shape != brightest.shape:
            raise UserError(f"{path} changes size at frame {count}; give a video whose frames are all of one size")
        np.maximum(brightest, luma.pixels, out=brightest)
        if count % BLOCK == 0:
            blocks.append(np.empty((BLOCK, SIDE, SIDE), np.float32))
        blocks[-1][count % BLOCK] = luma.cells()
        count += 1
        advance(1)
    envelope = np.rint(first.upright_levels(brightest)).astype(np.uint8)
    height, width = envelope.shape
    return Examined(path, count, width, height, rate, first.colour_range, _bars(envelope), _joined(blocks, count))


def _joined(blocks: list[NDArray[np.float32]], count: int) -> NDArray[np.float32]:
    """The first ``count`` signatures; the blocks are given up on the way, so that they are not in memory twice."""
    signatures = np.empty((count, SIDE, SIDE), np.float32)
    for start in range(count - 1 - (count - 1) % BLOCK, -1, -BLOCK):
        signatures[start : start + BLOCK] = blocks.pop()[: count - start]
    return signatures


def _bars(envelope: NDArray[np.uint8]) -> Bars:
    """Of the picture that holds every pixel's brightest moment."""
    left, top, right, bottom = picture_area(np.repeat(envelope[..., None], 3, axis=2))
    return Bars(top, envelope.shape[0] - bottom, left, envelope.shape[1] - right)


def _luma(frame: av.VideoFrame) -> _Luma:
    """The frame's brightness: the decoder's own where it is a plane by itself, else computed from RGB."""
    kind, colour_range = frame.format, _range(frame)
    depth = kind.components[0].bits
    if not kind.name.startswith(("yuv", "nv12")) or kind.is_big_endian or kind.is_bit_stream:
        return _Luma(cv2.transform(ColourConverter().to_rgb(frame).astype(np.float32), LUMA), colour_range=colour_range)
    plane = frame.planes[0]
    rows = np.frombuffer(memoryview(plane), np.uint8 if depth == 8 else np.uint16).reshape(plane.height, -1)
    full = colour_range == "full"
    return _Luma(
        rows[:, : plane.width],
        black=0.0 if full else 16.0 * 2 ** (depth - 8),
        span=2.0**depth - 1 if full else 219.0 * 2 ** (depth - 8),
        turns=round(frame.rotation / 90),
        colour_range=colour_range,
    )


def _range(frame: av.VideoFrame) -> ColourRange | None:
    if frame.color_range == ColorRange.JPEG or frame.format.name.startswith("yuvj"):
        return "full"
    return "limited" if frame.color_range == ColorRange.MPEG else None
