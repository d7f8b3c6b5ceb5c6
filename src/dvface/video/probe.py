"""What a video is, before it is read."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av

from dvface.video.read import open_video, upright_frames


@dataclass(frozen=True)
class VideoInfo:
    """A video's facts.

    Attributes:
        path: the file.
        frames: how many frames the container promises (it may be wrong by a few), None where it does not say.
        width: pixels, as shown: after the container's rotation.
        height: pixels, as shown.
        rate: frames a second.
        duration: seconds, None where the container does not say.
        codec: FFmpeg's name, such as ``h264``.
        pixel_format: FFmpeg's name, such as ``yuv420p``.
        has_audio: whether it has sound.
    """

    path: Path
    frames: int | None
    width: int
    height: int
    rate: Fraction
    duration: float | None
    codec: str
    pixel_format: str
    has_audio: bool


def probe(path: str | Path) -> VideoInfo:
    """The facts of the video file ``path``; decodes its first frame, so a file that passes can be opened.

    Raises:
        UserError: the file is missing, is a folder, is no video, has no stream or frame of video.
    """
    with open_video(path) as (container, stream):
        duration = stream.duration * stream.time_base if stream.duration else None
        if duration is None and container.duration:
            duration = Fraction(container.duration, av.time_base)
        height, width, _ = next(upright_frames(container, stream, str(path))).shape
        return VideoInfo(
            path=Path(path),
            frames=stream.frames or None,
            width=width,
            height=height,
            rate=Fraction(stream.average_rate or stream.guessed_rate or 25),
            duration=None if duration is None else float(duration),
            codec=stream.codec_context.name,
            pixel_format=stream.codec_context.pix_fmt,
            has_audio=bool(container.streams.audio),
        )
