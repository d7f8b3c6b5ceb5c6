"""A clip through a video encoder and back, bit for bit the same each time."""

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal

import av
import numpy as np

from dvface.degradation.encoders import ENCODERS, encoder_version
from dvface.degradation.operator import Clip, Parameters, checked_range, span
from dvface.errors import UserError
from dvface.video.read import upright_frames
from dvface.video.write import encode

DEFAULT_RATE = 25

LEAST_BIT_RATE = 1000
"""Bits a second: x264, x265 and libvpx count in thousands and drop the rest."""

MOST_BITS = 10**8


def to_bytes(clip: Clip) -> np.ndarray:
    """The clip as uint8, rounded to the nearest of 256 levels; what leaves [0, 1] is cut off."""
    return (np.clip(clip, 0, 1) * 255 + 0.5).astype(np.uint8)


def to_floats(frames: np.ndarray) -> Clip:
    """uint8 frames as float32 in [0, 1]."""
    return frames.astype(np.float32) / np.float32(255)


def checked_integers(name: str, values: Sequence[float], lowest: int, highest: int) -> tuple[int, int]:
    """``values`` as whole (low, high), or a ValueError that names the argument and what is allowed."""
    low, high = checked_range(name, values, lowest, highest)
    if not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{name} must be whole numbers, got {values}")
    return int(low), int(high)


def compressed(clip: Clip, parameters: Mapping[str, Any]) -> bytes:
    """The clip as an mp4 in memory, by the parameters of a `VideoCodec`.

    Raises:
        UserError: the parameters were drawn with another version of the encoder.
    """
    codec = parameters["codec"]
    encoder = ENCODERS[codec]
    if parameters["encoder"] != encoder_version(codec):
        raise UserError(
            f"the record's {encoder.title} step was made by {parameters['encoder']} and cannot be replayed bit for "
            f"bit by {encoder_version(codec)}; install that encoder or degrade the clip anew"
        )
    rate = parameters["rate"]
    if "crf" in parameters:
        aim = encoder.quality_options(parameters["crf"])
    else:
        aim = encoder.rate_options(parameters["bits_per_frame"], rate)
    frames = to_bytes(clip)
    missing = [(0, max(0, encoder.least_side - side)) for side in frames.shape[1:3]]
    frames = np.pad(frames, ((0, 0), *missing, (0, 0)), mode="edge")
    options = {**encoder.options(parameters["preset"], len(frames)), **aim}
    return encode(frames, Fraction(rate), codec=codec, options=options)


class VideoCodec:
    """Compresses the clip as a video (4:2:0, on one thread) and decodes it; all frames come back.

    Exactly one of ``crf`` and ``bits_per_frame`` says how hard. Measured on real footage of 176×144, 16 and 48
    frames: of 1500 to 40000 ``bits_per_frame`` clips take 0.4 to 1.7 times, VP9 the least and the most, the others
    0.6 to 1.4 (MPEG-4 spends no more than its quantiser of 2 takes and no less than that of 31).

    Args:
        codec: FFmpeg's encoder: ``libx264``, ``libx265``, ``mpeg4`` (MPEG-4 part 2, as DivX and Xvid) or
            ``libvpx-vp9``.
        rate: frames a second, 25 where None; rate control spends fewer bits on a frame the shorter it is shown.
        crf: range of the constant rate factor, from 0 (best) to 51, to 63 for VP9. MPEG-4 has none: there it is
            the quantiser (FFmpeg's ``q:v``), 1 (best) to 31.
        bits_per_frame: range of the mean size of a coded frame, bits, for FFmpeg's rate control in one pass; drawn
            evenly. It must be at least 1000 bits a second.
        preset: speed: of x264 and x265 by name (``medium`` where None), of VP9 ``0`` to ``8`` (libvpx's
            ``cpu-used``, ``4`` where None; from ``5`` on as in calls: realtime and without looking ahead). MPEG-4
            has none.

    Raises:
        ValueError: the codec is not one of them, both or neither of ``crf`` and ``bits_per_frame`` are given, or a
            value is not allowed.
    """

    def __init__(
        self,
        codec: Literal["libx264", "libx265", "mpeg4", "libvpx-vp9"],
        rate: int | None = None,
        crf: Sequence[int] | None = None,
        bits_per_frame: Sequence[int] | None = None,
        preset: str | None = None,
    ) -> None:
        if codec not in ENCODERS:
            raise ValueError(f"codec must be one of {', '.join(ENCODERS)}, got {codec!r}")
        encoder = ENCODERS[codec]
        if (crf is None) == (bits_per_frame is None):
            raise ValueError(f"exactly one of crf and bits_per_frame must be given, got {crf} and {bits_per_frame}")
        self.codec = codec
        self.rate = DEFAULT_RATE if rate is None else rate
        if crf is not None:
            self.aim = "crf"
            self.values = checked_integers("crf", crf, encoder.best, encoder.worst)
        if preset is not None and preset not in encoder.presets:
            allowed = f"one of {', '.join(encoder.presets)}" if encoder.presets else f"null, {codec} has none"
            raise ValueError(f"preset must be {allowed}, got {preset!r}")
        if self.rate < 1:
            raise ValueError(f"rate must be at least 1 frame a second, got {self.rate}")
        if bits_per_frame is not None:
            self.aim = "bits_per_frame"
            least = -(-LEAST_BIT_RATE // self.rate)
            self.values = checked_integers("bits_per_frame", bits_per_frame, least, MOST_BITS)
        self.preset = encoder.preset if preset is None else preset

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The codec, the quality or size, the settings and the encoder's version."""
        return {
            "codec": self.codec,
            self.aim: int(rng.integers(self.values[0], self.values[1] + 1)),
            "preset": self.preset,
            "rate": self.rate,
            "encoder": encoder_version(self.codec),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip with the codec's traces; odd and tiny sizes are padded for the encoder and cropped back.

        Raises:
            UserError: the parameters were drawn with another encoder, whose pixels this one would not repeat.
        """
        with av.open(io.BytesIO(compressed(clip, parameters))) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            decoded = np.stack(list(upright_frames(container, stream, "the compressed clip")))
        return to_floats(decoded[:, : clip.shape[1], : clip.shape[2]])

    def describe(self) -> str:
        """A few words with the numbers."""
        encoder = ENCODERS[self.codec]
        how = (
            f"at {encoder.quality} {span(self.values)}" if self.aim == "crf" else f"at {span(self.values)} bits a frame"
        )
        preset = "" if self.preset is None else f"preset {self.preset}, "
        return f"{encoder.title} {how} ({preset}{self.rate}/s)"
