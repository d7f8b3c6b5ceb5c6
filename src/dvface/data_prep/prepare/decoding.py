"""Frames out of a damaged or interlaced stream, before they are turned into pixels."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from heapq import heappop, heappush
from itertools import chain, islice
from typing import Any

import av
from av.filter import Graph
from av.video.frame import PictureType

from dvface.data_prep.prepare.remarks import Repeated

LOOKED_AT = 50  # packets that the frame rate is judged by
MOST_HELD = 8  # frames between two that others refer to: encoders make 3, some up to 8


@dataclass
class Decoded:
    """A frame before it is turned into pixels."""

    picture: Any
    index: int
    whole: bool  # nothing was lost before it
    seconds: Fraction = Fraction(0)
    continues: bool = False


class Decoder:
    """Decodes packet by packet; from damage on it leaves frames out up to the next keyframe.

    A frame that others refer to comes out after those shown before it, so these wait until it proves whole.
    ``beat`` is called for every packet.
    """

    def __init__(self, container: Any, stream: Any, beat: Callable[[], None]) -> None:
        self._beat = beat
        self._stretches = Repeated("damaged stretches")
        self._ends: list[str] = []
        self.packets = 0
        self._index = 0
        self._held: list[Any] = []
        self._pending: list[int] = []  # timestamps of packets whose frames did not come out yet
        self._broken: set[int | None] = set()  # timestamps of packets that raised: frames of theirs may still come
        self._damaged = False
        self._lost = 0
        self._whole = False
        packets = self._demux(container, stream)
        self.first = [packet for packet in islice(packets, LOOKED_AT) if packet.size]
        self._packets = chain(self.first, packets, [None])
        self._stream = stream

    def _demux(self, container: Any, stream: Any) -> Iterator[Any]:
        try:
            for packet in container.demux(stream):
                self._beat()
                if packet.size:
                    yield packet
        except av.FFmpegError as error:
            self._ends.append(f"cannot be read to its end ({error.strerror})")

    @property
    def remarks(self) -> list[str]:
        """What is damaged so far, a sentence each."""
        return [*self._stretches.told, *self._ends]

    def frames(self) -> Iterator[Decoded]:
        """Whole frames in the order of showing."""
        for packet in self._packets:
            for frame in self._decode(packet):
                skipped = self._catch_up(frame)
                if self._damaged:
                    self._lost += skipped
                    if frame.is_corrupt or not frame.key_frame or _stamp(frame) in self._broken:
                        self._lost += 1
                        continue
                    self._resume()
                elif frame.is_corrupt:
                    self._lose_held()
                    self._lost += 1
                    continue
                self._held.append(frame)
                if frame.pict_type != PictureType.B or len(self._held) > MOST_HELD:
                    yield from self._release()
        if self._damaged:
            self._lost += len(self._pending)
            self._resume()
        yield from self._release()

    def _decode(self, packet: Any) -> list[Any]:
        stamp = _stamp(packet) if packet is not None else None
        if packet is not None:
            self.packets += not packet.is_corrupt
            if stamp is not None and not packet.is_discard:
                heappush(self._pending, stamp)
            if packet.is_corrupt:
                self._lose_held()
                return []
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError:
            self._broken.add(stamp)
            self._lose_held()
            return []
        for frame in frames:
            frame.time_base = self._stream.time_base  # the last frames come without
        return frames

    def _catch_up(self, frame: Any) -> int:
        """Frames that should have come out before this one and did not."""
        stamp = _stamp(frame)
        skipped = 0
        while stamp is not None and self._pending and self._pending[0] <= stamp:
            skipped += heappop(self._pending) < stamp
        return skipped

    def _lose_held(self) -> None:
        self._damaged = True
        self._lost += len(self._held)
        self._held.clear()

    def _resume(self) -> None:
        first, last = self._index, self._index + self._lost - 1
        if first < last:
            self._stretches.add(f"frames {first} to {last} are damaged and left out")
        else:
            self._stretches.add(f"frame {first} is damaged and left out")
        self._index += self._lost
        self._damaged, self._lost, self._whole = False, 0, False

    def _release(self) -> Iterator[Decoded]:
        for frame in self._held:
            yield Decoded(frame, self._index, self._whole)
            self._index, self._whole = self._index + 1, True
        self._held.clear()


class Deinterlacer:
    """Makes frames progressive from the first interlaced one on; others pass untouched."""

    def __init__(self) -> None:
        self.used = False
        self._graph: Graph | None = None
        self._form: tuple[object, ...] = ()
        self._inside: deque[Decoded] = deque()

    def apply(self, frames: Iterator[Decoded]) -> Iterator[Decoded]:
        """The same frames, one late."""
        for frame in frames:
            picture = frame.picture
            self.used = self.used or picture.interlaced_frame
            if not self.used:
                yield frame
                continue
            form = (picture.width, picture.height, picture.format.name)
            if self._graph and (not frame.continues or form != self._form):
                yield from self._finish()
            if self._graph is None:
                self._graph, self._form = self._build(picture), form
            self._inside.append(frame)
            self._graph.vpush(picture)
            yield from self._come_out()
        if self._graph:
            yield from self._finish()

    @staticmethod
    def _build(picture: av.VideoFrame) -> Graph:
        graph = Graph()
        source = graph.add_buffer(
            width=picture.width, height=picture.height, format=picture.format, time_base=picture.time_base
        )
        graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
        graph.configure()
        return graph

    def _come_out(self) -> Iterator[Decoded]:
        assert self._graph is not None
        while True:
            try:
                picture = self._graph.vpull()
            except (BlockingIOError, EOFError):
                return
            frame = self._inside.popleft()
            frame.picture = picture
            yield frame

    def _finish(self) -> Iterator[Decoded]:
        assert self._graph is not None
        self._graph.vpush(None)
        yield from self._come_out()
        self._graph = None
        self._inside.clear()


def _stamp(timed: Any) -> int | None:
    """The timestamp of a packet or frame in units of its time base."""
    stamp: int | None = timed.dts if timed.pts is None else timed.pts
    return stamp


def seconds_of(timed: Any) -> Fraction | None:
    """The timestamp of a packet or frame."""
    stamp = _stamp(timed)
    return None if stamp is None else stamp * timed.time_base
