"""What an uploaded video is, and whether it is too much for the page; decided before any work."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from dvface.errors import UserError
from dvface.report.progress import duration_text
from dvface.video.read import open_video

MEGABYTE = 1_000_000
FALLBACK_RATE = Fraction(25)
SAME_RATE = 0.01
"""Relative difference up to which the container's rate is taken for the one that was measured."""
KEPT_SUFFIXES = (".mp4", ".mov", ".mkv")
"""Containers that the result keeps; of any other it becomes an .mp4."""


@dataclass(frozen=True)
class Upload:
    """A video's facts, counted on its packets: recorders of web cameras promise neither frames nor duration.

    Attributes:
        name: the file's own name.
        frames: packets of pictures.
        seconds: from the first frame's begin to the last one's end.
        width: pixels, as stored.
        height: pixels, as stored.
        rate: frames a second on average.
    """

    name: str
    frames: int
    seconds: float
    width: int
    height: int
    rate: Fraction

    def line(self) -> str:
        """Half a sentence, such as ``carphone.mp4: 120 frames in 00:04, 176 × 144 pixels``."""
        return (
            f"{self.name}: {self.frames} frames in {duration_text(self.seconds)}, {self.width} × {self.height} pixels"
        )


@dataclass(frozen=True)
class Limits:
    """The most that is accepted.

    Attributes:
        megabytes: of the file, 10⁶ bytes each.
        seconds: of the video.
        pixels: of a frame, height times width.
    """

    megabytes: float
    seconds: float
    pixels: int

    def line(self) -> str:
        """Half a sentence for the page."""
        return f"up to {self.megabytes:g} MB, {self.seconds:g} seconds and {self.pixels / 1e6:.2g} megapixels a frame"

    def admit(self, path: Path) -> Upload:
        """The facts of ``path``; frames are not decoded.

        Raises:
            UserError: the file is gone, over a limit, no video, or has no frames.
        """
        if not path.is_file():  # uploads are removed after a while
            raise UserError(f"{path.name} is no longer here; choose it again")
        size = path.stat().st_size / MEGABYTE
        if size > self.megabytes:
            raise UserError(f"{path.name} has {size:.1f} MB and this page takes at most {self.megabytes:g}; {_INSTEAD}")
        upload = look(path, self.pixels)
        if upload.seconds > self.seconds:
            raise UserError(
                f"{path.name} lasts {upload.seconds:.1f} seconds and this page takes at most {self.seconds:g}; "
                f"{_INSTEAD}"
            )
        return upload


_INSTEAD = "cut or shrink it, or use the command dvface restore, which has no limit"


def look(path: Path, pixels: int) -> Upload:
    """Walk through the packets of ``path`` without decoding any.

    Args:
        path: the file.
        pixels: the most that a frame may have: read from the header, since decoding a huge frame is what to avoid.

    Raises:
        UserError: a frame has more, or the file is no video, is damaged or has no frames.
    """
    with open_video(path) as (container, stream):
        width, height = int(stream.codec_context.width), int(stream.codec_context.height)
        if width * height > pixels:
            raise UserError(
                f"{path.name} has {width} × {height} pixels and this page takes at most {pixels} of them; {_INSTEAD}"
            )
        promised = stream.average_rate or stream.guessed_rate
        begins: list[Fraction] = []
        ends: list[Fraction] = []
        frames = 0
        try:
            for packet in container.demux(stream):
                if not packet.size or packet.is_discard:
                    continue
                frames += 1
                if packet.pts is not None:
                    begins.append(packet.pts * packet.time_base)
                    ends.append((packet.pts + (packet.duration or 0)) * packet.time_base)
        except av.FFmpegError as error:
            raise UserError(f"{path.name} is damaged ({error.strerror}); give a whole video") from error
    if not frames:
        raise UserError(f"{path.name} has no frames; give a video with at least one")
    seconds = _seconds(begins, ends, frames, promised)
    return Upload(path.name, frames, float(seconds), width, height, _rate(frames, seconds, promised))


def _seconds(begins: list[Fraction], ends: list[Fraction], frames: int, promised: Fraction | None) -> Fraction:
    """How long the video is; a last frame without a duration lasts as long as the average one."""
    rate = Fraction(promised or FALLBACK_RATE)
    if len(begins) < 2 or max(begins) == min(begins):
        return frames / rate
    span = max(begins) - min(begins)
    return max(max(ends) - min(begins), span * len(begins) / (len(begins) - 1))


def _rate(frames: int, seconds: Fraction, promised: Fraction | None) -> Fraction:
    measured = frames / seconds
    if promised and abs(measured / promised - 1) < SAME_RATE:
        return Fraction(promised)
    return measured.limit_denominator(1001)


def restored_name(name: str) -> str:
    """``old.avi`` -> ``old-restored.mp4``; containers that hold what was in the input are kept."""
    path = Path(name)
    return f"{path.stem}-restored{path.suffix.lower() if path.suffix.lower() in KEPT_SUFFIXES else '.mp4'}"
