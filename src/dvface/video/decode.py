"""Clips out of encoded videos in memory, as training reads them from shards.

Both readers use FFmpeg's default colour conversion, so they give the same pixels (measured: equal, 0 of 255,
on H.264 4:2:0 with B-frames, on `write.LOSSLESS` and on `write.EXACT`). On 4:2:0 that default darkens by about one
level; on 4:4:4 it is exact to rounding; on RGB, as `write.EXACT` stores, it is exact.
"""

import io
from functools import cache, cached_property
from importlib.util import find_spec
from itertools import islice
from typing import Any, Protocol

import av
import numpy as np

# decord 0.6.0 cannot copy out frames 16, 24, 48 or 72 pixels wide (tried: every width from 16 to 419).
DECORD_LEAST_WIDTH = 73


class ClipReader(Protocol):
    """Random access to the frames of one encoded video."""

    def __len__(self) -> int:
        """How many frames the data holds: counted, not what the container promises."""
        ...

    def read(self, start: int, frames: int) -> np.ndarray:
        """(T, H, W, 3) uint8 RGB: ``frames`` frames from ``start``; ValueError where there are fewer."""
        ...


def _open(data: bytes) -> Any:
    try:
        return av.open(io.BytesIO(data))
    except av.FFmpegError as error:
        raise ValueError(f"the data is no whole video ({error.strerror})") from error


def count_frames(data: bytes) -> int:
    """Coded frames that lie in ``data``; walks the container without decoding (about 2 ms for 120 frames).

    Raises:
        ValueError: the data is no video, or damaged or cut short within a frame.
    """
    with _open(data) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size and not packet.is_discard]
    if any(packet.is_corrupt for packet in packets):
        raise ValueError(f"the video data is damaged or cut short among its {len(packets)} frames")
    return len(packets)


def _check_range(start: int, frames: int, available: int) -> None:
    if start < 0 or frames < 1:
        raise ValueError(f"a clip needs start >= 0 and frames >= 1, got start {start} and frames {frames}")
    if start + frames > available:
        raise ValueError(f"wanted {frames} frames from {start}, the video has {available} in all")


class EncodedVideo:
    """An encoded video in memory and how many frames it really has.

    Args:
        data: the whole encoded video.
        frames: how many there are, where that is beyond doubt; None counts them.
    """

    def __init__(self, data: bytes, frames: int | None = None) -> None:
        self._data = data
        self._known = frames

    @cached_property
    def _length(self) -> int:
        return count_frames(self._data) if self._known is None else self._known

    def __len__(self) -> int:
        return self._length


class DecordReader(EncodedVideo):
    """Reads through decord, which seeks exactly and fast.

    decord must not be opened before a process forks, so it opens at the first read, in the worker that uses
    it. It may loop forever on frames that a container promises and lacks (dmlc/decord#373), so every range is
    checked against a count of the frames that are there, or that somebody vouches for.
    """

    @cached_property
    def _reader(self) -> Any:
        import decord

        try:
            return decord.VideoReader(io.BytesIO(self._data), num_threads=1)
        except decord.DECORDError as error:
            raise ValueError("the video data is damaged or cut short: decord cannot open it") from error

    def read(self, start: int, frames: int) -> np.ndarray:
        """See `ClipReader.read`."""
        import decord

        _check_range(start, frames, len(self))
        if self._known is not None and len(self._reader) < self._known:
            raise ValueError(f"the video has {len(self._reader)} frames, the manifest lists {self._known}")
        try:
            return self._reader.get_batch(range(start, start + frames)).asnumpy()
        except (decord.DECORDError, IndexError) as error:  # IndexError: decord finds fewer frames than were counted
            raise ValueError("the video data is damaged: decord cannot decode it") from error


class PyAVReader(EncodedVideo):
    """Reads through PyAV: every codec and platform, but decodes from the first frame on."""

    def read(self, start: int, frames: int) -> np.ndarray:
        """See `ClipReader.read`."""
        _check_range(start, frames, len(self))
        with _open(self._data) as container:
            container.streams.video[0].codec_context.thread_count = 1
            wanted = islice(container.decode(video=0), start, start + frames)
            clip = [frame.to_ndarray(format="rgb24") for frame in wanted]
        _check_range(start, frames, start + len(clip))
        return np.stack(clip)


def open_clip(data: bytes) -> ClipReader:
    """The reader for this video: decord where installed (Linux on x86-64) and able to read it, else PyAV."""
    with _open(data) as container:
        width = container.streams.video[0].width
    return open_known(data, width, None)


def open_known(data: bytes, width: int, frames: int | None) -> ClipReader:
    """`open_clip` for a video that is known, which saves opening it twice more.

    Args:
        data: the whole encoded video.
        width: in pixels.
        frames: how many it has, where that is beyond doubt: decord may loop for ever on frames that are missing.
    """
    decord = width >= DECORD_LEAST_WIDTH and _has_decord()
    return DecordReader(data, frames) if decord else PyAVReader(data, frames)


@cache
def _has_decord() -> bool:
    return find_spec("decord") is not None
