"""Frames of two half pictures, as DVDs, DV tapes and broadcasts hold them, made whole."""

from collections import deque
from collections.abc import Iterator
from typing import Any

import av
from av.filter import Graph


def progressive(frames: Iterator[av.VideoFrame]) -> Iterator[tuple[av.VideoFrame, av.VideoFrame]]:
    """Yield (whole frame, the frame it comes from, which has the times).

    Frames pass untouched up to the first interlaced one; from there on FFmpeg's bwdif makes those whole that say that
    they are interlaced. Frames are of one size.
    """
    graph: Graph | None = None
    inside: deque[av.VideoFrame] = deque()
    for frame in frames:
        if graph is None:
            if not frame.interlaced_frame:
                yield frame, frame
                continue
            graph = _built(frame)
        inside.append(frame)
        graph.vpush(frame)
        yield from _come_out(graph, inside)
    if graph is not None:
        graph.vpush(None)
        yield from _come_out(graph, inside)


def _built(frame: av.VideoFrame) -> Graph:
    graph = Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base)
    graph.link_nodes(source, graph.add("bwdif", "mode=send_frame:deint=interlaced"), graph.add("buffersink"))
    graph.configure()
    return graph


def _come_out(graph: Graph, inside: deque[av.VideoFrame]) -> Iterator[tuple[Any, av.VideoFrame]]:
    while True:
        try:
            picture = graph.vpull()
        except (BlockingIOError, EOFError):
            return
        yield picture, inside.popleft()
