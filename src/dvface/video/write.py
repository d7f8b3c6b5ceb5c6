"""Write frames as a video: to a file that appears when whole, or to memory, the same bytes each time."""

import io
from collections.abc import Iterable, Mapping
from fractions import Fraction
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypedDict

import av
import numpy as np

from dvface.errors import UserError
from dvface.files import whole_file
from dvface.video.colour import ColourConverter, tag_colours

GOOD: Mapping[str, str] = MappingProxyType({"crf": "16", "preset": "medium"})

REPEATABLE: Mapping[str, str] = MappingProxyType({**GOOD, "mbtree": "0"})
"""`GOOD` without x264's macroblock tree, which reads memory that it never set.

With the tree, a small clip now and then encodes differently the second time (measured with x264 core 165);
without it none did, even with freshly allocated memory full of garbage, and `LOSSLESS` never has a tree. At
the same CRF files grow by 7% and PSNR moves by less than 0.2 dB.
"""


class Encoding(TypedDict):
    """The part of `encode`'s and `write_video`'s arguments that says how to encode."""

    codec: str
    options: Mapping[str, str]
    pixel_format: str


LOSSLESS = Encoding(codec="libx264", options={"qp": "0", "preset": "veryfast"}, pixel_format="yuv444p")
"""H.264 without loss; what remains is rounding between RGB and 8-bit YUV.

Measured on real footage: 0.4 of 255 levels on average, at most 2. Use: ``encode(frames, rate, **LOSSLESS)``.
"""

EXACT = Encoding(codec="libx264rgb", options={"qp": "0", "preset": "veryfast"}, pixel_format="rgb24")
"""H.264 of the RGB pixels themselves: every reader of this package gives back what was written, bit for bit.

Measured on real footage: files are 1.6 times as large as those of `LOSSLESS`, encoding takes as long.
"""


def _even(frame: np.ndarray) -> np.ndarray:
    height, width, _ = frame.shape
    return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _encode_into(
    container: Any,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    codec: str,
    options: Mapping[str, str],
    pixel_format: str,
    threads: int,
    name: str,
) -> None:
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise UserError(f"no frames to write to {name}; give at least one")
    halves_chroma = pixel_format.startswith("yuv420")
    stream = container.add_stream(codec, rate=rate, options=dict(options))
    prepared = _even(first) if halves_chroma else first
    stream.height, stream.width = prepared.shape[:2]
    stream.pix_fmt = pixel_format
    stream.codec_context.thread_count = threads
    if pixel_format != "rgb24":
        tag_colours(stream)
    converter = ColourConverter()
    for number, frame in enumerate(chain([first], iterator)):
        if frame.shape != first.shape or frame.dtype != np.uint8:
            raise ValueError(f"frame {number} for {name} is {frame.dtype} {frame.shape}, must be uint8 {first.shape}")
        container.mux(stream.encode(converter.from_rgb(_even(frame) if halves_chroma else frame, pixel_format)))
    container.mux(stream.encode(None))


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    codec: str = "libx264",
    options: Mapping[str, str] = GOOD,
    pixel_format: str = "yuv420p",
) -> None:
    """Write ``frames`` to ``path``; the file appears only when whole. Colours are BT.709 and say so.

    4:2:0 needs even sizes: an odd height or width grows by one, the last row or column repeated.

    Args:
        path: its suffix chooses the container (.mp4, .mkv, .mov).
        frames: (H, W, 3) uint8 RGB, all of one size; taken one at a time.
        rate: frames a second.
        codec: FFmpeg's encoder.
        options: the encoder's own options.
        pixel_format: FFmpeg's name.

    Raises:
        UserError: there are no frames, or no container has the path's suffix.
        ValueError: the frames differ in size or are not uint8.
    """
    with whole_file(path) as temporary:
        try:
            container = av.open(str(temporary), "w")
        except ValueError as error:
            raise UserError(f"{path} has no suffix of a video container; name it .mp4, .mkv or .mov") from error
        with container:
            _encode_into(container, frames, rate, codec, options, pixel_format, threads=0, name=str(path))


def encode(
    frames: Iterable[np.ndarray],
    rate: Fraction,
    codec: str = "libx264",
    options: Mapping[str, str] = REPEATABLE,
    pixel_format: str = "yuv420p",
) -> bytes:
    """An mp4 in memory, encoded on one thread; otherwise as `write_video`.

    The same frames give the same bytes with `REPEATABLE` and `LOSSLESS`; other options of libx264 need
    ``mbtree: 0`` for that.
    """
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        _encode_into(container, frames, rate, codec, options, pixel_format, threads=1, name="memory")
    return buffer.getvalue()
