"""Cuts between scenes, found by PySceneDetect's measures while frames stream by.

Hard cuts only: a slow fade or dissolve changes every frame a little and none much. A photographer's flash counts as
two cuts, one before it and one after.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import cv2
import numpy as np

from dvface.data_prep.prepare.frames import RawFrame

WIDTH = 256  # pixels that frames are shrunk to, as PySceneDetect's own reader does by default
RATE = 25.0  # frames are numbered, not timed; any will do


class WholeVideo:
    """Finds no cuts: for footage that has none, such as most published face clips."""

    def split(self, frames: Iterable[RawFrame]) -> Iterator[RawFrame]:
        """See `SceneDetector.split`."""
        yield from frames


class ContentScenes:
    """A cut lies where a frame differs much from the one before.

    Args:
        threshold: mean difference of hue, saturation and value, 0 to 255.
    """

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def split(self, frames: Iterable[RawFrame]) -> Iterator[RawFrame]:
        """See `SceneDetector.split`."""
        from scenedetect.detectors import ContentDetector

        return _split(frames, lambda: ContentDetector(self.threshold, min_scene_len=0), 0)


class AdaptiveScenes:
    """A cut lies where a frame differs much more from the one before than its neighbours do.

    A fast camera changes all frames alike and gives no cut.

    Args:
        threshold: the difference, as that of `ContentScenes`, divided by the mean of its neighbours'.
        least_content: the least difference.
        window: neighbours on either side; two cuts closer than this may hide each other.
    """

    def __init__(self, threshold: float, least_content: float, window: int) -> None:
        self.threshold = threshold
        self.least_content = least_content
        self.window = window

    def split(self, frames: Iterable[RawFrame]) -> Iterator[RawFrame]:
        """See `SceneDetector.split`."""
        from scenedetect.detectors import AdaptiveDetector

        def fresh() -> Any:
            return AdaptiveDetector(self.threshold, 1, self.window, self.least_content)

        return _split(frames, fresh, self.window)


def _split(frames: Iterable[RawFrame], fresh: Callable[[], Any], window: int) -> Iterator[RawFrame]:
    """Let a fresh detector look at each stretch of frames that continue one another and are of one size."""
    stretch, shape = 0, None

    def number(frame: RawFrame) -> int:
        nonlocal stretch, shape
        if not frame.continues or frame.pixels.shape != shape:
            stretch, shape = stretch + 1, frame.pixels.shape
        return stretch

    for _, group in groupby(frames, key=number):
        yield from _split_stretch(group, fresh(), window)


def _split_stretch(frames: Iterator[RawFrame], detector: Any, window: int) -> Iterator[RawFrame]:
    """Frames come out when the detector has seen ``window`` more.

    The first and the last are shown to it again, since it needs neighbours on either side of what it judges.
    """
    from scenedetect import FrameTimecode

    waiting: deque[RawFrame] = deque()
    cuts: set[int] = set()
    seen = 0

    def look(small: np.ndarray, times: int) -> None:
        nonlocal seen
        for _ in range(times):
            found = detector.process_frame(FrameTimecode(seen, RATE), small)
            cuts.update(cut.frame_num - window for cut in found)
            seen += 1

    out = 0
    small = None
    for frame in frames:
        first = small is None
        small = _shrink(frame.pixels)
        look(small, 1 + window if first else 1)
        waiting.append(frame)
        if len(waiting) > window:
            yield _cut(waiting.popleft(), out in cuts)
            out += 1
    if small is not None:
        look(small, window)
    for place, frame in enumerate(waiting, start=out):
        yield _cut(frame, place in cuts)


def _cut(frame: RawFrame, here: bool) -> RawFrame:
    return frame.cut() if here and frame.continues else frame


def _shrink(pixels: np.ndarray) -> np.ndarray:
    """(h, 256, 3) uint8 BGR."""
    height, width = pixels.shape[:2]
    size = (WIDTH, max(1, round(height * WIDTH / width)))
    small = pixels if width <= WIDTH else cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.ascontiguousarray(small[..., ::-1])
