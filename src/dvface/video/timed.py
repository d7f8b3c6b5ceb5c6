"""A video, or a folder of pictures, frame by frame with its times, and all that a copy of it must keep."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Protocol

import av
import numpy as np

from dvface.errors import UserError
from dvface.video.interlaced import progressive
from dvface.video.pixels import Colours, PixelsIn, bit_depth, colours_of
from dvface.video.read import decoded_frames, open_video
from dvface.video.times import IncreasingTimes

MOST_PIXELS = 8192 * 8192
"""Pixels of a frame above which a file is refused: a few kilobytes can promise frames that fill any memory."""

# Their clock starts at 0 by definition, so a late first frame is meant; others start where the recorder's clock was.
_STARTS_AT_ZERO = ("mov", "matroska")


@dataclass(frozen=True, eq=False)
class TimedFrame:
    """A frame and when it is shown.

    Attributes:
        pixels: (H, W, 3) RGB, upright: uint8, or uint16 (0 to 65535) where the source has more than 8 bits.
        time: ticks of the source's time base since its start; at least 0, greater than the time of the frame before.
        duration: ticks until the next frame; of the last one what the container says, else one step of the rate.
    """

    pixels: np.ndarray
    time: int
    duration: int


@dataclass(frozen=True)
class OtherStream:
    """A stream beside the picture.

    Attributes:
        index: in the container.
        kind: ``audio``, ``subtitle``, ``attachment``, ``data`` or ``video`` (cover art, a second camera).
        codec: FFmpeg's name, such as ``aac``; empty where unknown.
        language: as the container says, such as ``eng``; empty where it does not.
    """

    index: int
    kind: str
    codec: str
    language: str


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a source before it is read through.

    Attributes:
        path: the file or folder.
        frames: how many the container promises (it may be wrong by a few), None where it does not say.
        width: pixels, as shown: after the rotation.
        height: pixels, as shown.
        rate: frames a second, on average.
        time_base: seconds a tick.
        origin: ticks that `TimedFrame.time` is behind the file's own times.
        end: when the last frame stops being shown, in ticks as `TimedFrame.time`; None where unknown.
        bit_depth: of the stored samples.
        colours: how they mean colours, what was left unsaid resolved by the usual rule.
        sample_aspect: a pixel's width over its height, as shown.
        rotation: degrees counter-clockwise by which the stored frames were turned.
        codec: FFmpeg's name, such as ``h264``; ``pictures`` for a folder.
        others: the streams beside the picture.
    """

    path: Path
    frames: int | None
    width: int
    height: int
    rate: Fraction
    time_base: Fraction
    origin: int
    end: int | None
    bit_depth: int
    colours: Colours
    sample_aspect: Fraction
    rotation: int
    codec: str
    others: tuple[OtherStream, ...] = field(default=())

    @property
    def step(self) -> int:
        """Ticks between two frames at the average rate, at least 1."""
        return max(1, round(1 / (self.rate * self.time_base)))

    def last_duration(self, time: int, said: int = 0) -> int:
        """Ticks that the last frame, which starts at ``time``, is shown; ``said`` is what the frame itself says."""
        # An end far behind is that of a longer sound track.
        if self.end is not None and 0 < self.end - time <= 10 * self.step:
            return self.end - time
        return said if said > 0 else self.step


class Source(Protocol):
    """Frames that can be read any number of times, and their facts."""

    @property
    def facts(self) -> SourceFacts:
        """What is known before reading."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences on what the last reading had to repair."""
        ...

    def frames(self, first: int = 0) -> Iterator[TimedFrame]:
        """The frames from number ``first`` on, one at a time: the same as those of a reading from the start.

        Raises:
            UserError: the source is damaged, cut short, or its frames change size or number format.
        """
        ...


def check_size(width: int, height: int, name: object) -> None:
    """Raise UserError where a frame would have more than `MOST_PIXELS`; ``name`` is the file to blame."""
    if width * height > MOST_PIXELS:
        raise UserError(
            f"{name} promises frames of {width}×{height} pixels, more than the {MOST_PIXELS // 10**6} million that are "
            "read; scale it down first"
        )


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Any]]:
    with open_video(path) as (container, stream):
        context = stream.codec_context
        check_size(context.width, context.height, path)
        # Also of a file whose frames outgrow its header.
        context.options = {**context.options, "max_pixels": str(MOST_PIXELS)}
        stream.thread_type = "AUTO"
        yield container, stream


def _origin(container: Any, stream: Any) -> int:
    if container.start_time is None or any(name in container.format.name for name in _STARTS_AT_ZERO):
        return 0
    return int(Fraction(container.start_time, av.time_base) / stream.time_base)


def _others(container: Any, picture: Any) -> tuple[OtherStream, ...]:
    return tuple(
        OtherStream(
            index=stream.index,
            kind=stream.type,
            codec=stream.codec_context.name if stream.codec_context else "",
            language=stream.language or "",
        )
        for stream in container.streams
        # FFmpeg discards the tracks that hold an MP4's chapters, which are read as chapters.
        if stream.index != picture.index and stream.discard != av.stream.Discard.all
    )


def _facts(container: Any, stream: Any, path: Path) -> SourceFacts:
    frame = next(decoded_frames(container, stream, str(path)))
    turned = round(frame.rotation / 90) % 2 == 1
    aspect = Fraction(stream.sample_aspect_ratio or 1)
    origin = _origin(container, stream)
    ends = stream.duration is not None and stream.start_time is not None
    return SourceFacts(
        path=path,
        frames=stream.frames or None,
        width=frame.height if turned else frame.width,
        height=frame.width if turned else frame.height,
        rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
        time_base=stream.time_base,
        origin=origin,
        end=stream.start_time + stream.duration - origin if ends else None,
        bit_depth=bit_depth(frame.format),
        colours=colours_of(frame, stream.codec_context, str(path)),
        sample_aspect=1 / aspect if turned else aspect,
        rotation=round(frame.rotation / 90) * 90,
        codec=stream.codec_context.name,
        others=_others(container, stream),
    )


class VideoSource:
    """A video file; see `Source`.

    Args:
        path: the file. Its first frame is decoded at once.

    Raises:
        UserError: it is missing, a folder, no video, names other files, has no picture, or its frames are too large.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        with _opened(self._path) as (container, stream):
            self._facts = _facts(container, stream, self._path)
        self._times = self._fresh_times()
        self._interlaced = False
        self._lost = 0

    def _fresh_times(self) -> IncreasingTimes:
        return IncreasingTimes(self._facts.step, self._facts.time_base)

    @property
    def facts(self) -> SourceFacts:
        """See `Source.facts`."""
        return self._facts

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Source.notes`."""
        made_whole = ("It is interlaced: its half pictures were made whole frames.",) if self._interlaced else ()
        # decoders with several threads pass over frames that they cannot decode
        lost = f"{self._lost} of {self._facts.frames} promised frames could not be decoded and are missing."
        return (*self._times.notes, *made_whole, *([lost] if self._lost else []))

    def frames(self, first: int = 0) -> Iterator[TimedFrame]:
        """See `Source.frames`. Frames before ``first`` are decoded and dropped: no container seeks exactly."""
        self._times = self._fresh_times()
        to_rgb = PixelsIn(self._facts.colours, self._facts.bit_depth > 8)
        waiting: tuple[av.VideoFrame, int] | None = None
        duration = 0
        with _opened(self._path) as (container, stream):
            checked = self._checked(decoded_frames(container, stream, str(self._path)))
            for number, (frame, origin) in enumerate(progressive(checked)):
                self._interlaced = self._interlaced or origin.interlaced_frame
                stated = origin.pts if origin.pts is not None else origin.dts
                time = self._times(None if stated is None else stated - self._facts.origin)
                if waiting:
                    yield TimedFrame(to_rgb(waiting[0]), waiting[1], time - waiting[1])
                waiting, duration = (frame, time) if number >= first else None, origin.duration or 0
        if waiting:
            last, time = waiting
            yield TimedFrame(to_rgb(last), time, self._facts.last_duration(time, duration))

    def _checked(self, frames: Iterator[av.VideoFrame]) -> Iterator[av.VideoFrame]:
        number = -1  # there is one at least, or an error
        for number, frame in enumerate(frames):
            turned = round(frame.rotation / 90) % 2 == 1
            width, height = (frame.height, frame.width) if turned else (frame.width, frame.height)
            if (width, height) != (self._facts.width, self._facts.height):
                raise UserError(
                    f"{self._path} changes size at frame {number}; give a video whose frames are all of one size"
                )
            yield frame
        self._lost = max(0, (self._facts.frames or 0) - number - 1)
