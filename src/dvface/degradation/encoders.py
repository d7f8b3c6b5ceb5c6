"""What each video encoder is called, takes and needs so that the same frames give the same pixels again."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache

import av
import av.logging
import numpy as np

from dvface.video.write import REPEATABLE, encode

X26X_PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")

VP9_SPEEDS = ("0", "1", "2", "3", "4", "5", "6", "7", "8")
"""libvpx's ``cpu-used``; its manual gives 0–5 for the good deadline and 5–8 for realtime."""

REALTIME_SPEED = 5

BUFFER_FRAMES = 8
"""How many frames x265 and MPEG-4 may overspend; without it 16 frames took up to 2.4 and 6 times as much."""

FIRST_FRAME_SHARE = "300"
"""Most percent of a mean frame that VP9's first may take; without it 16 frames took up to 3.5 times as much."""

Options = dict[str, str]


def _libraries() -> str:
    return ", ".join(f"{name} {'.'.join(map(str, av.library_versions[name]))}" for name in ("libavcodec", "libswscale"))


def _sample(codec: str, options: Mapping[str, str]) -> bytes:
    return encode([np.zeros((16, 16, 3), np.uint8)], Fraction(25), codec=codec, options=options)


def _x264_version() -> str:
    build = re.search(rb"x264 - (core \d+(?: r\w+)?)", _sample("libx264", REPEATABLE))
    return f"x264 {build[1].decode() if build else 'unknown'}"


def _x265_version() -> str:
    build = re.search(rb"x265 (\(build \d+\) - [^:\s]+)", _sample("libx265", {"x265-params": "log-level=none"}))
    return f"x265 {build[1].decode() if build else 'unknown'}"


def _libvpx_version() -> str:
    # libvpx writes no version into the video; FFmpeg logs it when the encoder opens.
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.logging.Capture() as messages:
            _sample("libvpx-vp9", {})
    finally:
        av.logging.set_level(level)
    texts = [text.strip() for _, name, text in messages if name == "libvpx-vp9" and re.match(r"v\d", text)]
    return f"libvpx {texts[0] if texts else 'unknown'}"


def _mpeg4_version() -> str:
    return "FFmpeg's mpeg4"


def _x264_options(preset: str | None, frames: int) -> Options:
    # `REPEATABLE` leaves out the part of x264 that would not repeat.
    return {"mbtree": REPEATABLE["mbtree"], "preset": str(preset)}


def _x265_options(preset: str | None, frames: int) -> Options:
    parameters = [
        "pools=none:frame-threads=1:wpp=0:log-level=none:info=0",
        # The tree writes past its memory on small pictures, and blocks of 32 and 64 read what was never set, as does
        # the look ahead below 32 pixels: measured with x265 4.2 (valgrind; memory filled with garbage).
        "cutree=0:ctu=16:max-tu-size=16",
    ]
    # x265 4.2 gives garbage for the time of decoding where a clip is no longer than its delay of two B-frames.
    if frames <= 2:
        parameters.append("bframes=0")
    return {"preset": str(preset), "x265-params": ":".join(parameters)}


def _mpeg4_options(preset: str | None, frames: int) -> Options:
    return {}


def _vp9_options(preset: str | None, frames: int) -> Options:
    options = {"cpu-used": str(preset), "row-mt": "0", "max-intra-rate": FIRST_FRAME_SHARE}
    if int(str(preset)) < REALTIME_SPEED:
        return {**options, "deadline": "good"}
    return {**options, "deadline": "realtime", "lag-in-frames": "0"}


def _crf(value: int) -> Options:
    return {"crf": str(value)}


def _vp9_crf(value: int) -> Options:
    return {"crf": str(value), "b": "0"}


def _quantiser(value: int) -> Options:
    # FFmpeg reads ``q:v`` from every frame, where PyAV cannot set it; bounds that meet leave one quantiser too.
    return {"qmin": str(value), "qmax": str(value)}


def _bit_rate(bits_per_frame: int, rate: int) -> Options:
    return {"b": str(bits_per_frame * rate)}


def _x265_bit_rate(bits_per_frame: int, rate: int) -> Options:
    peak = str(2 * bits_per_frame * rate)
    return {**_bit_rate(bits_per_frame, rate), "maxrate": peak, "bufsize": str(bits_per_frame * BUFFER_FRAMES)}


def _mpeg4_bit_rate(bits_per_frame: int, rate: int) -> Options:
    bits = str(bits_per_frame * rate)
    return {"b": bits, "bt": bits, "maxrate": bits, "bufsize": str(bits_per_frame * BUFFER_FRAMES)}


@dataclass(frozen=True)
class Encoder:
    """One of FFmpeg's video encoders.

    Attributes:
        title: the format's name for people.
        quality: what its ``crf`` is.
        best: lowest ``crf``.
        worst: highest ``crf``.
        presets: speeds that it knows, none where it has one only.
        preset: the speed where none is asked for.
        least_side: fewest pixels of height and width that it takes.
        version: names the build; other builds may give other pixels.
        options: what repeats, for a preset and a number of frames.
        quality_options: the options for one ``crf``.
        rate_options: the options for bits a frame and frames a second.
    """

    title: str
    quality: str
    best: int
    worst: int
    presets: tuple[str, ...]
    preset: str | None
    least_side: int
    version: Callable[[], str]
    options: Callable[[str | None, int], Options]
    quality_options: Callable[[int], Options]
    rate_options: Callable[[int, int], Options]


_X264 = Encoder("H.264", "CRF", 0, 51, X26X_PRESETS, "medium", 1, _x264_version, _x264_options, _crf, _bit_rate)
_X265 = Encoder("H.265", "CRF", 0, 51, X26X_PRESETS, "medium", 32, _x265_version, _x265_options, _crf, _x265_bit_rate)
_MPEG4 = Encoder("MPEG-4", "quantiser", 1, 31, (), None, 1, _mpeg4_version, _mpeg4_options, _quantiser, _mpeg4_bit_rate)
_VP9 = Encoder("VP9", "CRF", 0, 63, VP9_SPEEDS, "4", 1, _libvpx_version, _vp9_options, _vp9_crf, _bit_rate)

ENCODERS: Mapping[str, Encoder] = {"libx264": _X264, "libx265": _X265, "mpeg4": _MPEG4, "libvpx-vp9": _VP9}


@cache
def encoder_version(codec: str) -> str:
    """The encoder's build and the FFmpeg libraries in use; other versions may give other pixels."""
    return f"{ENCODERS[codec].version()}, {_libraries()}"
