"""Write restored pictures with all that the source's picture stream says: times, colours, pixel shape."""

import os
from collections.abc import Iterable
from dataclasses import replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from dvface.errors import UserError
from dvface.files import whole_file
from dvface.video.encodings import CONTAINERS, Chosen, Encoding, choose
from dvface.video.pixels import Colours, PixelsOut
from dvface.video.timed import SourceFacts, TimedFrame

_LONGEST_DELAY = 64  # frames between coding and showing one; no codec here has more than 16
_LEAST_CLOCK = 10_000  # FFmpeg's MP4 writer doubles a coarser clock until it ticks as often a second


def clock_options(suffix: str, time_base: Fraction) -> dict[str, str]:
    """Options of a container that keep the times of a stream of ``time_base`` as they are.

    FFmpeg would move all streams where one starts below 0, and round the start of an MP4's tracks to milliseconds.
    """
    options = {"avoid_negative_ts": "disabled"}
    if suffix in (".mp4", ".mov"):
        clock = time_base.denominator
        while clock < _LEAST_CLOCK:
            clock *= 2
        options |= {"movie_timescale": str(clock)}
    return options


def counts_milliseconds(suffix: str) -> bool:
    """Whether files with this suffix cannot hold finer times."""
    return suffix in (".mkv", ".webm")


def between_milliseconds(time: int, time_base: Fraction) -> bool:
    """Whether a time, in ticks, is no whole number of milliseconds."""
    return time * time_base.numerator * 1000 % time_base.denominator != 0


def rounding_note(suffix: str) -> str:
    """The sentence that says what a clock of milliseconds did to finer times."""
    return f"{suffix} files count milliseconds: frame times were rounded by up to half of one; .mp4 keeps them."


def shape_notes(suffix: str, codec: str, aspect: Fraction) -> list[str]:
    """What becomes of a pixel shape of ``aspect``, as sentences; ``codec`` is FFmpeg's name of codec or encoder.

    PyAV cannot write it into Matroska, so it is lost there unless the codec holds it itself.
    """
    if aspect == 1 or suffix not in (".mkv", ".webm") or codec in ("h264", "hevc", "libx264", "libx265"):
        return []
    return [
        f"Pixels of the source are {aspect.numerator}:{aspect.denominator} wide, which {suffix} files of this codec do "
        "not say here: players may show it squeezed; .mp4 and .mov keep it, and so does codec h264."
    ]


def _add_stream(container: Any, chosen: Chosen, like: SourceFacts, shape: tuple[int, ...], threads: int) -> Any:
    # The only way to quieten SVT-AV1, which otherwise writes to the terminal.
    os.environ.setdefault("SVT_LOG", "1")
    stream = container.add_stream(chosen.encoder, rate=like.rate.limit_denominator(1 << 30), options={**chosen.options})
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = chosen.pixel_format
    context = stream.codec_context
    stream.time_base = context.time_base = like.time_base
    context.thread_count = threads
    context.sample_aspect_ratio = like.sample_aspect
    if chosen.encoder == "libx265" and container.format.name in ("mp4", "mov"):
        context.codec_tag = "hvc1"  # the only one that Apple's players open
    return stream


def _stored(colours: Colours, chosen: Chosen) -> Colours:
    # ProRes has no way to say full range.
    return replace(colours, full_range=False) if chosen.encoder == "prores_ks" else colours


def _tag(stream: Any, frame: av.VideoFrame) -> None:
    context = stream.codec_context
    context.colorspace, context.color_range = frame.colorspace, frame.color_range
    context.color_primaries, context.color_trc = frame.color_primaries, frame.color_trc


def _encode(
    container: Any, stream: Any, frames: Iterable[TimedFrame], to_frame: PixelsOut, like: SourceFacts, name: str
) -> bool:
    """Encode and write; returns whether all times are whole milliseconds."""
    durations: dict[int, int] = {}
    shape = (stream.height, stream.width, 3)

    last_dts: int | None = None

    def mux(packets: list[Any]) -> None:
        nonlocal last_dts
        for packet in packets:
            # x265 makes nonsense of the decoding times of a video shorter than its delay, not the same each time; a
            # frame is never decoded later than any that is still to come is shown.
            least = min(durations) - _LONGEST_DELAY * like.step if last_dts is None else last_dts + 1
            sound = packet.dts is not None and least <= packet.dts <= min(durations)
            packet.dts = last_dts = packet.dts if sound else least
            # Encoders do not pass durations on; without, the last frame's would be lost.
            packet.duration = durations.pop(packet.pts)
            container.mux(packet)

    last, whole = -1, True
    for number, timed in enumerate(frames):
        pixels = timed.pixels
        if pixels.shape != shape or pixels.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f"frame {number} for {name} is {pixels.dtype} {pixels.shape}, must be uint8 or uint16 {shape}"
            )
        if timed.time <= last:
            raise ValueError(f"frame {number} for {name} has time {timed.time}, must be above {last}")
        frame = to_frame(pixels)
        frame.pts, frame.time_base = timed.time, stream.codec_context.time_base
        if number == 0:
            _tag(stream, frame)
        durations[timed.time] = timed.duration
        last = timed.time
        whole &= not between_milliseconds(timed.time, stream.codec_context.time_base)
        mux(stream.encode(frame))
    mux(stream.encode(None))
    return whole


def write_pictures(
    path: str | Path, frames: Iterable[TimedFrame], like: SourceFacts, encoding: Encoding, threads: int = 0
) -> list[str]:
    """Encode restored frames to ``path`` as the source's picture stream is; the file appears when whole.

    Times, average rate, matrix, range, primaries, transfer and pixel shape are the source's. Pixels are upright, so
    there is no rotation. The size is that of the frames, exactly.

    Args:
        path: its suffix chooses the container (.mp4, .mkv, .mov, .webm).
        frames: their times are the source's ticks, increasing; taken one at a time.
        like: the source's facts.
        encoding: how.
        threads: of the encoder; 0 leaves it to the encoder.

    Returns:
        A sentence on each thing that is not as in the source.

    Raises:
        UserError: ``path`` and ``encoding`` do not go together, there are no frames, or the encoder refuses them.
        ValueError: frames differ in size, are neither uint8 nor uint16, or times do not increase.
    """
    iterator = iter(frames)
    first = next(iterator, None)
    if first is None:
        raise UserError(f"no frames to write to {path}; give at least one")
    height, width = first.pixels.shape[:2]
    chosen = choose(encoding, path, height, width, like.bit_depth)
    suffix = Path(path).suffix.lower()
    with whole_file(path) as temporary:
        options = clock_options(suffix, like.time_base)
        with av.open(str(temporary), "w", format=CONTAINERS[suffix], container_options=options) as container:
            stream = _add_stream(container, chosen, like, first.pixels.shape, threads)
            to_frame = PixelsOut(
                _stored(like.colours, chosen), chosen.pixel_format, chroma_left=chosen.encoder in ("libx264", "libx265")
            )
            try:
                whole = _encode(container, stream, chain([first], iterator), to_frame, like, str(path))
            except (av.ArgumentError, av.ExternalError) as error:
                raise UserError(
                    f"{encoding.codec} cannot encode frames of {width}×{height} pixels to {path} ({error.strerror}); "
                    "choose codec h264"
                ) from error
    notes = [*chosen.notes, *shape_notes(suffix, chosen.encoder, like.sample_aspect)]
    if chosen.encoder == "prores_ks" and like.colours.full_range:
        notes.append("The source's colours have the full range, which ProRes cannot say: they are stored limited.")
    if counts_milliseconds(suffix) and not whole:
        notes.append(rounding_note(suffix))
    return notes


def piece_suffix(encoding: Encoding) -> str:
    """The suffix for pieces that `join.join` puts together: of a container that keeps times as the target will."""
    return {"prores": ".mov", "ffv1": ".mkv"}.get(encoding.codec, ".mp4")
