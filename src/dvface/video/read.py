"""Read a video file, or a folder of numbered frames, as RGB arrays."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from dvface.errors import UserError
from dvface.video.colour import ACCURATE, ColourConverter, picture_stream

FRAME_SUFFIXES = (".png", ".jpg", ".jpeg")
PICTURES = ("PNG", "JPEG")  # Pillow knows formats that start programs
FORMATS = (
    # What files are made of that count as videos by their names …
    *("mov", "matroska", "avi", "mpeg", "mpegts", "mpegvideo", "m4v", "mpegtsraw"),
    # … and what else carries its pictures within itself.
    *("apng", "asf", "av1", "dirac", "dnxhd", "dv", "flv", "gif", "gxf", "h261", "h263", "h264", "hevc", "ivf", "kux"),
    *("mjpeg", "mxf", "nsv", "nut", "nuv", "obu", "ogg", "rm", "vc1", "vc1test", "vvc", "wtv", "yuv4mpegpipe"),
)
"""FFmpeg's names of the formats that are read; playlists and scripts, which name other files, are not among them."""


@contextmanager
def open_video(path: str | Path) -> Iterator[tuple[Any, Any]]:
    """Yield the opened container and its picture stream.

    Raises:
        UserError: the file is missing, is a folder, is no video, names other files or has no video stream.
    """
    if not Path(path).exists():
        raise UserError(f"video {path} does not exist; correct the path")
    if Path(path).is_dir():
        raise UserError(f"{path} is a folder; give one video file")
    try:
        # Before FFmpeg follows what a playlist names, which may lie on another machine.
        container = av.open(str(path), options={"format_whitelist": ",".join(FORMATS)})
    except av.ArgumentError as error:
        raise UserError(
            f"{path} is no file of moving pictures but a playlist, a picture, text, sound or the like; give a video "
            "such as an .mp4"
        ) from error
    except av.FFmpegError as error:
        raise UserError(f"{path} cannot be opened as a video ({error.strerror}); give a whole video") from error
    with container:
        yield container, picture_stream(container, str(path))


def decoded_frames(container: Any, stream: Any, name: str) -> Iterator[av.VideoFrame]:
    """Every frame as the decoder gives it; ``name`` is the file to blame.

    A video cut exactly between two frames reads as the shorter video that it is.

    Raises:
        UserError: a frame cannot be decoded, or there is none.
    """
    decoded = 0
    try:
        for packet in container.demux(stream):
            # A decoder with several threads swallows the error that a broken packet should raise.
            if packet.is_corrupt:
                raise UserError(f"{name} is damaged or cut short near frame {decoded}; give a whole video")
            for frame in packet.decode():
                yield frame
                decoded += 1
    except av.FFmpegError as error:
        raise UserError(
            f"{name} cannot be decoded after frame {decoded} ({error.strerror}); give a whole video"
        ) from error
    if not decoded:
        raise UserError(f"{name} has no frames; give a video with at least one")


def upright_frames(container: Any, stream: Any, name: str, to_rgb: int = ACCURATE) -> Iterator[np.ndarray]:
    """`decoded_frames` as `ColourConverter.to_rgb` gives them."""
    converter = ColourConverter(to_rgb)
    return map(converter.to_rgb, decoded_frames(container, stream, name))


def frame_files(folder: str | Path) -> list[Path]:
    """The folder's png and jpg files in natural order: ``frame2`` before ``frame10``; hidden ones are none of them."""

    def natural(path: Path) -> list[tuple[int, str]]:
        return [(int(part or 0), "") if part.isdecimal() else (0, part) for part in re.split(r"(\d+)", path.name)]

    named = (path for path in Path(folder).iterdir() if path.suffix.lower() in FRAME_SUFFIXES)
    # A Mac puts "._0.png" beside "0.png" on foreign disks; a pipe would be waited on for ever.
    return sorted((path for path in named if not path.name.startswith(".") and path.is_file()), key=natural)


def read_picture(path: Path) -> np.ndarray:
    """The picture as (H, W, 3) uint8 RGB.

    Raises:
        UserError: it is missing or damaged, no png or jpg inside, or larger than Pillow opens.
    """
    try:
        with Image.open(path, formats=PICTURES) as image:
            return np.asarray(image.convert("RGB"))
    # A damaged png raises any of these.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"frame {path} is no readable picture; replace or remove it") from error


def _frames_of_folder(folder: Path) -> Iterator[np.ndarray]:
    files = frame_files(folder)
    if not files:
        raise UserError(f"folder {folder} holds no png or jpg frames; give a video or a folder of frames")
    for path in files:
        yield read_picture(path)


def _frames_of_video(path: str | Path, to_rgb: int) -> Iterator[np.ndarray]:
    with open_video(path) as (container, stream):
        stream.thread_type = "AUTO"
        yield from upright_frames(container, stream, str(path), to_rgb)


def read_frames(path: str | Path, to_rgb: int = ACCURATE) -> Iterator[np.ndarray]:
    """The frames of a video file or of a folder of png/jpg frames, one at a time: (H, W, 3) uint8 RGB.

    The container's rotation is applied. ``to_rgb`` is `ColourConverter`'s, for files that store no RGB.

    Raises:
        UserError: the file is missing, no video, damaged, cut short or empty, or its frames change size.
    """
    frames = _frames_of_folder(Path(path)) if Path(path).is_dir() else _frames_of_video(path, to_rgb)
    shape = None
    for number, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.shape != shape:
            raise UserError(f"{path} changes size at frame {number}; give a video whose frames are all of one size")
        yield frame


def read_video(path: str | Path, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Frames ``start`` to ``stop`` (exclusive; to the end by default) at once: (T, H, W, 3) uint8 RGB.

    Args:
        path: a video file or a folder of png/jpg frames.
        start: first frame, counted from 0.
        stop: the frame after the last, or None for the rest. A video that ends earlier gives what it has.

    Raises:
        UserError: as `read_frames`, or no frame lies in the range.
    """
    frames = list(islice(read_frames(path), start, stop))
    if not frames:
        raise UserError(f"{path} has no frame in the range {start} to {stop}; give a range within the video")
    return np.stack(frames)
