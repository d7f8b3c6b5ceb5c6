"""Folders of numbered pictures: read with made-up times, written whole or not at all; PNG of 8 and 16 bits."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from dvface.errors import UserError
from dvface.files import whole_file
from dvface.video.pixels import OF_RGB, PixelsIn
from dvface.video.read import PICTURES, frame_files, read_picture
from dvface.video.timed import SourceFacts, TimedFrame, VideoSource, check_size

_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def _png_depth(path: Path) -> int:
    """Bits a sample where the file is a PNG, by its header (PNG, section 11.2.1); 8 of anything else."""
    with path.open("rb") as file:
        head = file.read(25)
    return head[24] if head.startswith(_SIGNATURE) and len(head) == 25 else 8


def _size(path: Path) -> tuple[int, int]:
    """Width and height by the header; nothing is decoded."""
    try:
        with Image.open(path, formats=PICTURES) as image:
            return image.size
    # Pillow refuses decompression bombs of its own measure already here.
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"frame {path} is no readable picture; replace or remove it") from error


def read_picture_deep(path: Path) -> np.ndarray:
    """The picture as (H, W, 3) RGB: uint16 (0 to 65535) of a PNG with 16 bits a sample, else uint8.

    Raises:
        UserError: it is missing or damaged, no png or jpg inside, or larger than is read.
    """
    check_size(*_size(path), path)
    shallow = read_picture(path)  # FFmpeg fills in what a damaged PNG lacks, Pillow refuses it
    if _png_depth(path) != 16:
        return shallow
    decoder = av.CodecContext.create("png", "r")
    try:
        frames = [*decoder.decode(av.Packet(path.read_bytes())), *decoder.decode(None)]
    except av.FFmpegError as error:
        raise UserError(f"frame {path} is no readable picture; replace or remove it") from error
    if not frames:
        raise UserError(f"frame {path} is no readable picture; replace or remove it")
    # Grey ones have no colours to convert; their range is full.
    return PixelsIn(OF_RGB, deep=True)(frames[0].reformat(format="rgb48le"))


class FolderSource:
    """A folder of numbered png and jpg pictures in natural order; see `timed.Source`.

    Args:
        folder: all pictures in it are frames; the first one's depth is that of all.
        rate: frames a second; the time base is one frame.

    Raises:
        UserError: there are no pictures, or the first one cannot be read or is too large.
    """

    def __init__(self, folder: str | Path, rate: Fraction = Fraction(25)) -> None:
        self._folder = Path(folder)
        self._files = frame_files(folder)
        if not self._files:
            raise UserError(f"folder {folder} holds no png or jpg frames; give a video or a folder of frames")
        width, height = _size(self._files[0])
        check_size(width, height, self._files[0])
        self._facts = SourceFacts(
            path=self._folder,
            frames=len(self._files),
            width=width,
            height=height,
            rate=rate,
            time_base=1 / rate,
            origin=0,
            end=len(self._files),
            bit_depth=16 if _png_depth(self._files[0]) == 16 else 8,
            colours=OF_RGB,
            sample_aspect=Fraction(1),
            rotation=0,
            codec="pictures",
        )

    @property
    def facts(self) -> SourceFacts:
        """See `timed.Source.facts`."""
        return self._facts

    @property
    def notes(self) -> tuple[str, ...]:
        """Nothing is repaired here."""
        return ()

    def frames(self, first: int = 0) -> Iterator[TimedFrame]:
        """See `timed.Source.frames`; pictures before ``first`` are not opened."""
        for number, path in enumerate(self._files[first:], start=first):
            pixels = read_picture_deep(path)
            if pixels.shape[:2] != (self._facts.height, self._facts.width):
                raise UserError(
                    f"{self._folder} changes size at frame {number}; give pictures that are all of one size"
                )
            yield TimedFrame(_at_depth(pixels, self._facts.bit_depth), number, 1)


def _at_depth(pixels: np.ndarray, depth: int) -> np.ndarray:
    if depth == 16 and pixels.dtype == np.uint8:
        return pixels.astype(np.uint16) * 257
    if depth == 8 and pixels.dtype == np.uint16:
        return np.rint(pixels / 257).astype(np.uint8)
    return pixels


def open_source(path: str | Path, rate: Fraction = Fraction(25)) -> VideoSource | FolderSource:
    """The source at ``path``: a video file, or a folder of pictures shown ``rate`` a second.

    Raises:
        UserError: as `VideoSource` and `FolderSource`.
    """
    return FolderSource(path, rate) if Path(path).is_dir() else VideoSource(path)


def png_bytes(pixels: np.ndarray) -> bytes:
    """(H, W, 3) RGB as a PNG with 8 bits a sample of uint8, 16 of uint16; lossless."""
    form = "rgb24" if pixels.dtype == np.uint8 else "rgb48be"
    encoder = av.CodecContext.create("png", "w")
    encoder.height, encoder.width = pixels.shape[:2]
    encoder.pix_fmt, encoder.time_base, encoder.thread_count = form, Fraction(1), 1
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format=form)
    return b"".join(bytes(packet) for packet in [*encoder.encode(frame), *encoder.encode(None)])


def write_png(path: str | Path, pixels: np.ndarray) -> None:
    """Write (H, W, 3) RGB, uint8 or uint16, as a PNG that appears when whole; lossless."""
    with whole_file(path) as temporary:
        temporary.write_bytes(png_bytes(pixels))


def write_png_folder(folder: str | Path, frames: Iterable[np.ndarray], first: int = 0, overwrite: bool = False) -> int:
    """Write frames as ``000000.png`` and on; the folder appears when whole. Returns how many there were.

    Args:
        folder: must not exist, or be empty.
        frames: (H, W, 3) RGB, uint8 or uint16 (PNGs of 16 bits); taken one at a time.
        first: the first frame's number.
        overwrite: whether a folder with content is replaced.

    Raises:
        UserError: the folder has content, is a file, or there are no frames.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or (any(target.iterdir()) and not overwrite)):
        raise UserError(f"{folder} exists; name a folder that does not, or overwrite it")
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        count = 0
        for count, pixels in enumerate(frames, start=1):
            (temporary / f"{first + count - 1:06d}.png").write_bytes(png_bytes(pixels))
        if not count:
            raise UserError(f"no frames to write to {folder}; give at least one")
        temporary.chmod(0o755)  # mkdtemp creates private folders
        replace_folder(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return count


def replace_folder(temporary: Path, target: Path) -> None:
    """Give a finished folder its final name; a folder that has it already is gone only when the new one is in place."""
    if not target.exists():
        temporary.rename(target)
        return
    # A folder with content cannot be renamed over; until the second renaming the old one can be put back.
    old = Path(tempfile.mkdtemp(prefix=f".{target.name}-old-", dir=target.parent)) / target.name
    target.rename(old)
    try:
        temporary.rename(target)
    except OSError:
        old.rename(target)
        raise
    finally:
        shutil.rmtree(old.parent)
