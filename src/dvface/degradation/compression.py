"""What cameras and sites do to a clip: JPEG frame by frame, H.264 across frames."""

import io
import re
from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from typing import Any

import av
import cv2
import numpy as np

from dvface.degradation.operator import Clip, Parameters, checked_range, span
from dvface.errors import UserError
from dvface.video.read import upright_frames
from dvface.video.write import REPEATABLE, encode

PRESETS = ("ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow", "slower", "veryslow")


def _to_bytes(clip: Clip) -> np.ndarray:
    return (np.clip(clip, 0, 1) * 255 + 0.5).astype(np.uint8)


def _to_floats(frames: np.ndarray) -> Clip:
    return frames.astype(np.float32) / np.float32(255)


def _checked_integers(name: str, values: Sequence[float], lowest: int, highest: int) -> tuple[int, int]:
    low, high = checked_range(name, values, lowest, highest)
    if not (low.is_integer() and high.is_integer()):
        raise ValueError(f"{name} must be whole numbers, got {values}")
    return int(low), int(high)


class JPEG:
    """Compresses every frame as a JPEG picture of one quality.

    Args:
        quality: range of libjpeg's quality, 1 (worst) to 100.
    """

    def __init__(self, quality: Sequence[int]) -> None:
        self.quality = _checked_integers("quality", quality, 1, 100)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The quality."""
        return {"quality": int(rng.integers(self.quality[0], self.quality[1] + 1))}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip with JPEG's blocks, in steps of 1/255."""
        options = [cv2.IMWRITE_JPEG_QUALITY, parameters["quality"]]
        pictures = [
            np.asarray(cv2.imdecode(cv2.imencode(".jpg", frame[..., ::-1], options)[1], cv2.IMREAD_COLOR_RGB))
            for frame in _to_bytes(clip)
        ]
        return _to_floats(np.stack(pictures))

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"JPEG of quality {span(self.quality)}"


@cache
def encoder_version() -> str:
    """The x264 build and the FFmpeg libraries in use; other versions may give other pixels.

    x264 states its build only in what it encodes.
    """
    sample = encode([np.zeros((16, 16, 3), np.uint8)], Fraction(25))
    build = re.search(rb"x264 - (core \d+(?: r\w+)?)", sample)
    versions = {name: ".".join(map(str, av.library_versions[name])) for name in ("libavcodec", "libswscale")}
    return ", ".join(
        [
            f"x264 {build[1].decode() if build else 'unknown'}",
            *(f"{name} {text}" for name, text in versions.items()),
        ]
    )


class H264:
    """Compresses the clip as an H.264 video (libx264, 4:2:0) and decodes it.

    Args:
        crf: range of x264's constant rate factor, 0 (best) to 51.
        preset: x264's speed preset.
        rate: frames a second; x264 spends fewer bits on a frame the shorter it is shown.
    """

    def __init__(self, crf: Sequence[int], preset: str, rate: int) -> None:
        self.crf = _checked_integers("crf", crf, 0, 51)
        if preset not in PRESETS:
            raise ValueError(f"preset must be one of {', '.join(PRESETS)}, got {preset!r}")
        if rate < 1:
            raise ValueError(f"rate must be at least 1 frame a second, got {rate}")
        self.preset = preset
        self.rate = rate

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The rate factor, the settings and the encoder's version."""
        return {
            "crf": int(rng.integers(self.crf[0], self.crf[1] + 1)),
            "preset": self.preset,
            "rate": self.rate,
            "encoder": encoder_version(),
        }

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip with H.264's traces; odd sizes are padded for the encoder and cropped back.

        Raises:
            UserError: the parameters were drawn with another encoder, whose pixels this one would not repeat.
        """
        if parameters["encoder"] != encoder_version():
            raise UserError(
                f"the record's H.264 step was made by {parameters['encoder']} and cannot be replayed bit for "
                f"bit by {encoder_version()}; install that encoder or degrade the clip anew"
            )
        # `REPEATABLE` leaves out the part of x264 that would not repeat.
        options = {**REPEATABLE, "crf": str(parameters["crf"]), "preset": parameters["preset"]}
        data = encode(_to_bytes(clip), Fraction(parameters["rate"]), options=options)
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.video[0]
            stream.codec_context.thread_count = 1
            decoded = np.stack(list(upright_frames(container, stream, "the compressed clip")))
        return _to_floats(decoded[:, : clip.shape[1], : clip.shape[2]])

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"H.264 at CRF {span(self.crf)} (preset {self.preset}, {self.rate}/s)"
