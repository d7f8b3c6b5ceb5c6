"""What cameras and sites do to a clip: JPEG frame by frame, H.264 across frames."""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from dvface.degradation.codecs import VideoCodec, checked_integers, to_bytes, to_floats
from dvface.degradation.operator import Clip, Parameters, span


class JPEG:
    """Compresses every frame as a JPEG picture of one quality.

    Args:
        quality: range of libjpeg's quality, 1 (worst) to 100.
    """

    def __init__(self, quality: Sequence[int]) -> None:
        self.quality = checked_integers("quality", quality, 1, 100)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The quality."""
        return {"quality": int(rng.integers(self.quality[0], self.quality[1] + 1))}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip with JPEG's blocks, in steps of 1/255."""
        options = [cv2.IMWRITE_JPEG_QUALITY, parameters["quality"]]
        pictures = [
            np.asarray(cv2.imdecode(cv2.imencode(".jpg", frame[..., ::-1], options)[1], cv2.IMREAD_COLOR_RGB))
            for frame in to_bytes(clip)
        ]
        return to_floats(np.stack(pictures))

    def describe(self) -> str:
        """A few words with the numbers."""
        return f"JPEG of quality {span(self.quality)}"


class H264(VideoCodec):
    """Compresses the clip as an H.264 video (libx264, 4:2:0) and decodes it.

    Args:
        crf: range of x264's constant rate factor, 0 (best) to 51.
        preset: x264's speed preset.
        rate: frames a second; x264 spends fewer bits on a frame the shorter it is shown.
    """

    def __init__(self, crf: Sequence[int], preset: str, rate: int) -> None:
        super().__init__("libx264", rate=rate, crf=crf, preset=preset)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The rate factor, the settings and the encoder's version."""
        return {key: value for key, value in super().draw(rng, shape).items() if key != "codec"}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """See `VideoCodec.apply`."""
        return super().apply(clip, {"codec": "libx264", **parameters})
