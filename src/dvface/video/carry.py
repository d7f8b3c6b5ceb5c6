"""Sound, subtitles and the rest of a source, on their way into another container: copied, or converted and said so."""

import io
from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Any, Protocol

import av

from dvface.video.encodings import CONTAINERS

_SOUND_CODECS = {".webm": "libopus"}  # of the others: AAC, which all take
_SOUND_NAMES = {"aac": "AAC", "libopus": "Opus"}
_OPUS_RATE = 48000
_AAC_RATES = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)
_KEEPERS = (".mkv", ".mp4", ".mov", ".webm")  # the one that holds most first
_KEPT_TAGS = ("language", "title", "handler_name")


def takes(suffix: str, stream: Any) -> bool:
    """Whether files with this suffix can hold the stream as it is coded: tried in memory."""
    try:
        with av.open(io.BytesIO(), "w", format=CONTAINERS[suffix]) as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def advice(stream: Any, suffix: str) -> str:
    """The ending of a sentence that names the files that would keep ``stream``; empty where none would."""
    others = [other for other in _KEEPERS if other != suffix and takes(other, stream)]
    return f"; {others[0]} keeps it" if others else ""


def title(stream: Any) -> str:
    """What to call a stream in a sentence: its place among its kind, its codec and language."""
    if stream.type == "attachment":
        return f"attachment {stream.metadata.get('filename', '')}".rstrip()
    kind = {"audio": "sound", "subtitle": "subtitles", "video": "picture"}.get(stream.type, stream.type)
    peers = [peer.index for peer in stream.container.streams if peer.type == stream.type]
    codec = stream.codec_context.name if stream.codec_context else "of an unknown codec"
    language = f", {stream.language}" if stream.language else ""
    return f"{kind} {peers.index(stream.index) + 1} ({codec}{language})"


def label(output: Any, stream: Any) -> None:
    """Give an output stream the source stream's language, title and role (default, forced, …)."""
    output.metadata.update({key: value for key, value in stream.metadata.items() if key.lower() in _KEPT_TAGS})
    output.disposition = stream.disposition


class Carrier(Protocol):
    """Turns a source stream's packets into those of its output stream."""

    def packets(self, packet: Any) -> Iterator[Any]:
        """What to write for a packet of the source."""
        ...

    def rest(self) -> Iterator[Any]:
        """What is left to write after the last one."""
        ...


class Copier:
    """Packets as they are, moved in time as all streams are.

    Args:
        output: the stream of the new container.
        earlier: seconds by which the source's times go down.
    """

    def __init__(self, output: Any, earlier: Fraction) -> None:
        self._output = output
        self._earlier = earlier
        self._last: int | None = None
        self._shift = 0

    def packets(self, packet: Any) -> Iterator[Any]:
        """See `Carrier.packets`. Times that fall back go on behind the last one: no container takes them."""
        if not packet.size:
            return
        at = packet.dts if packet.dts is not None else packet.pts
        if at is None and self._last is None:
            at = 0
        moved = 0
        if at is not None:
            at += self._shift - round(self._earlier / packet.time_base)
            moved = self._shift - round(self._earlier / packet.time_base)
        if self._last is not None and (at is None or at <= self._last):
            following = self._last + 1
            if at is not None and (self._last - at) * packet.time_base > 1:
                self._shift += following - at
            moved += following - (at if at is not None else following)
            at = following
        packet.dts = at
        packet.pts = at if packet.pts is None else max(packet.pts + moved, at)
        self._last = at
        packet.stream = self._output
        yield packet

    def rest(self) -> Iterator[Any]:
        """See `Carrier.rest`: nothing."""
        return iter(())


class SoundConverter:
    """Sound in another codec, gaps filled with silence, so that it stays in step with the picture.

    Args:
        output: the encoder's stream.
        source: the stream that packets come from.
        earlier: seconds by which the source's times go down.
    """

    def __init__(self, output: Any, source: Any, earlier: Fraction) -> None:
        self._output = output
        self._source = source
        self._earlier = earlier
        self._graph: Any = None

    def _prepare(self, frame: Any) -> None:
        context = self._output.codec_context
        graph = av.filter.Graph()
        chain = [
            graph.add_abuffer(
                sample_rate=frame.sample_rate, format=frame.format, layout=frame.layout, time_base=frame.time_base
            ),
            graph.add("aresample", "async=1"),
            graph.add(
                "aformat",
                f"sample_fmts={context.format.name}:sample_rates={context.sample_rate}:"
                f"channel_layouts={context.layout.name}",
            ),
            graph.add("asetnsamples", f"n={context.frame_size or 1024}:p=0"),
            graph.add("abuffersink"),
        ]
        for one, other in pairwise(chain):
            one.link_to(other)
        graph.configure()
        self._graph = graph

    def _drained(self) -> Iterator[Any]:
        while True:
            try:
                frame = self._graph.pull()
            except (av.BlockingIOError, av.EOFError):
                return
            yield from self._output.encode(frame)

    def packets(self, packet: Any) -> Iterator[Any]:
        """See `Carrier.packets`."""
        for frame in packet.decode():
            if frame.pts is not None:
                frame.pts -= round(self._earlier / frame.time_base)
            if self._graph is None:
                self._prepare(frame)
            self._graph.push(frame)
            yield from self._drained()

    def rest(self) -> Iterator[Any]:
        """See `Carrier.rest`: what decoder, filters and encoder hold back."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._drained()
            yield from self._output.encode(None)


def convert_sound(container: Any, stream: Any, suffix: str, earlier: Fraction) -> tuple[SoundConverter, str]:
    """Add an encoder for a sound stream that the container cannot take; also the new codec's name."""
    codec = _SOUND_CODECS.get(suffix, "aac")
    rate = stream.codec_context.sample_rate
    if codec == "libopus":
        rate = _OPUS_RATE
    elif rate not in _AAC_RATES:
        rate = 48000
    channels = stream.codec_context.layout.nb_channels
    layout = stream.codec_context.layout.name if channels <= 2 or channels == 6 else "stereo"
    if channels == 6:
        layout = "5.1"
    output = container.add_stream(codec, rate=rate, layout=layout)
    output.codec_context.bit_rate = 96_000 * output.codec_context.layout.nb_channels
    label(output, stream)
    fewer = f", its {channels} channels mixed to stereo" if channels > 2 and layout == "stereo" else ""
    return SoundConverter(output, stream, earlier), _SOUND_NAMES[codec] + fewer
