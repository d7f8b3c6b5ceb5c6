"""Pieces of restored pictures and the source's sound, subtitles, chapters and notes, joined into one file."""

import heapq
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import av

from dvface.errors import UserError
from dvface.files import whole_file
from dvface.video.carry import Carrier, Copier, advice, convert_sound, label, takes, title
from dvface.video.encodings import CONTAINERS
from dvface.video.keep import between_milliseconds, clock_options, counts_milliseconds, rounding_note, shape_notes
from dvface.video.read import open_video
from dvface.video.timed import SourceFacts

# What the old file says of itself, which is not so of the new one.
_BOOKKEEPING = ("major_brand", "minor_version", "compatible_brands", "encoder", "duration", "rotate")


@dataclass(frozen=True)
class Piece:
    """A file of pictures only, by its packets."""

    path: Path
    time_base: Fraction
    times: tuple[int, ...]
    """Of its frames, in the order shown."""
    delay: int
    """By how many places a frame is coded later than shown, at most."""
    extradata: bytes


def measure(path: Path) -> Piece:
    """A piece's times; nothing is decoded.

    Raises:
        UserError: it is damaged.
    """
    try:
        with open_video(path) as (container, stream):
            coded = [packet.pts for packet in container.demux(stream) if packet.size]
            time_base, extradata = stream.time_base, stream.codec_context.extradata or b""
    except av.FFmpegError as error:
        raise UserError(f"piece {path} is damaged ({error.strerror}); remove it, so that it is made anew") from error
    if not coded or None in coded:
        raise UserError(f"piece {path} is damaged; remove it, so that it is made anew")
    shown = sorted(coded)
    place = {time: number for number, time in enumerate(shown)}
    delay = max(number - place[time] for number, time in enumerate(coded))
    return Piece(path, time_base, tuple(shown), delay, extradata)


def _check_pieces(pieces: Sequence[Piece]) -> None:
    if not pieces:
        raise UserError("there are no pieces to join; restore at least one frame")
    for one, other in pairwise(pieces):
        if (one.time_base, one.extradata) != (other.time_base, other.extradata):
            raise UserError(
                f"pieces {one.path} and {other.path} were encoded differently; remove them, so that they are made anew"
            )
        if other.times[0] <= one.times[-1]:
            raise UserError(
                f"piece {other.path} does not begin after {one.path} ends; remove both, so that they are made anew"
            )


def _picture_packets(pieces: Sequence[Piece], output: Any, end: int) -> Iterator[Any]:
    """The pieces' packets with decoding times that increase over all of them; ``end`` is the last frame's, in ticks.

    The k-th packet is decoded when frame k - delay is shown, the earliest time at which its data can be needed; the
    pieces' own decoding times overlap where one ends and the next begins.
    """
    delay = max(piece.delay for piece in pieces)
    step = min(later - earlier for earlier, later in pairwise((*pieces[0].times[:2], end)))
    waiting: list[int] = []
    written = 0
    for number, piece in enumerate(pieces):
        following = pieces[number + 1].times[0] if number + 1 < len(pieces) else end
        ends = dict(zip(piece.times, (*piece.times[1:], following), strict=True))
        with open_video(piece.path) as (container, stream):
            for packet in container.demux(stream):
                if not packet.size:
                    continue
                heapq.heappush(waiting, packet.pts)
                early = pieces[0].times[0] - (delay - written) * step
                packet.dts = heapq.heappop(waiting) if written >= delay else early
                packet.duration = ends[packet.pts] - packet.pts
                packet.stream = output
                written += 1
                yield packet


def _attach_cover(container: Any, source_path: Path, index: int, suffix: str) -> bool:
    """Put the source's cover art into a Matroska file; False where the container has no place for it."""
    if suffix != ".mkv":
        return False
    with av.open(str(source_path)) as source:
        stream = source.streams[index]
        data = next((bytes(packet) for packet in source.demux(stream) if packet.size), None)
        kind = {"mjpeg": ("cover.jpg", "image/jpeg"), "png": ("cover.png", "image/png")}.get(stream.codec_context.name)
    if data is None or kind is None:
        return False
    container.add_attachment(*kind, data)
    return True


def _carriers(
    container: Any, source: Any, picture: Any, suffix: str, facts: SourceFacts
) -> tuple[dict[int, Carrier], list[str]]:
    """How each stream of the source but its picture goes into the container, by index; and what to say of it."""
    earlier = facts.origin * facts.time_base
    carriers: dict[int, Carrier] = {}
    notes: list[str] = []
    for stream in source.streams:
        # FFmpeg discards the tracks that hold an MP4's chapters, which are read as chapters.
        if stream.index == picture.index or stream.discard == av.stream.Discard.all:
            continue
        cover = stream.type == "video" and bool(stream.disposition & stream.disposition.attached_pic)
        if stream.type == "attachment":
            kept = suffix == ".mkv"
            if kept:
                container.add_stream_from_template(stream)
        elif cover and suffix in (".mkv", ".webm"):
            kept = _attach_cover(container, facts.path, stream.index, suffix)
        elif (stream.type in ("audio", "subtitle") or cover) and stream.codec_context and takes(suffix, stream):
            output = container.add_stream_from_template(stream, opaque=True)
            label(output, stream)
            carriers[stream.index] = Copier(output, earlier)
            kept = True
        elif stream.type == "audio" and stream.codec_context:
            carriers[stream.index], codec = convert_sound(container, stream, suffix, earlier)
            notes.append(f"{title(stream)} was converted to {codec}: {suffix} cannot hold it{advice(stream, suffix)}.")
            kept = True
        else:
            kept = False
        if not kept:
            notes.append(f"{title(stream)} was left out: {suffix} cannot hold it{_keeper(stream, suffix)}.")
    return carriers, notes


def _keeper(stream: Any, suffix: str) -> str:
    if stream.type in ("attachment", "video"):
        return "; .mkv keeps it" if suffix != ".mkv" and stream.type == "attachment" else ""
    return advice(stream, suffix) if stream.codec_context else ""


def _copy_notes(container: Any, source: Any, facts: SourceFacts) -> None:
    container.metadata.update({k: v for k, v in source.metadata.items() if k.lower() not in _BOOKKEEPING})
    chapters = source.chapters()
    for chapter in chapters:
        earlier = round(facts.origin * facts.time_base / (chapter["time_base"] or Fraction(1, av.time_base)))
        chapter["start"], chapter["end"] = chapter["start"] - earlier, chapter["end"] - earlier
    if chapters:
        container.set_chapters(chapters)


def _carried_packets(source: Any, carriers: dict[int, Carrier], name: Path) -> Iterator[Any]:
    try:
        for packet in source.demux([source.streams[index] for index in carriers]):
            yield from carriers[packet.stream.index].packets(packet)
        for carrier in carriers.values():
            yield from carrier.rest()
    except av.FFmpegError as error:
        raise UserError(f"the sound or subtitles of {name} are damaged ({error.strerror}); repair the file") from error


def _moment(packet: Any) -> float:
    return float((packet.dts if packet.dts is not None else packet.pts) * packet.time_base)


def _last_end(piece: Piece, facts: SourceFacts) -> int:
    ratio = piece.time_base / facts.time_base
    duration = facts.last_duration(round(piece.times[-1] * ratio))
    return piece.times[-1] + max(1, round(duration / ratio))


def join(target: str | Path, pieces: Sequence[str | Path], source: SourceFacts) -> list[str]:
    """Join pieces and everything but the picture of ``source`` into ``target``; it appears when whole.

    Nothing is encoded anew except sound that the target's container cannot take. Memory does not grow with length
    but for one number per frame.

    Args:
        target: its suffix chooses the container (.mp4, .mkv, .mov, .webm).
        pieces: files of `keep.write_pictures`, of one encoding, in order; `keep.piece_suffix` names their container.
        source: the facts of the file that sound and the rest come from; of a folder nothing comes.

    Returns:
        A sentence on each thing that is not as in the source.

    Raises:
        UserError: the target's suffix is none of a video or its container cannot hold the picture, a piece is
            damaged, out of order or encoded differently, or the source's other streams cannot be read.
    """
    suffix = Path(target).suffix.lower()
    if suffix not in CONTAINERS:
        raise UserError(f"{target} has no suffix of a video container; name it {', '.join(CONTAINERS)}")
    measured = [measure(Path(piece)) for piece in pieces]
    _check_pieces(measured)
    time_base = measured[0].time_base
    options = clock_options(suffix, time_base)
    if suffix in (".mp4", ".mov"):
        options["movflags"] = "faststart"  # browsers play it before they have all of it
    with whole_file(target) as temporary, ExitStack() as stack:
        _, template = stack.enter_context(open_video(measured[0].path))
        if not takes(suffix, template):
            raise UserError(
                f"{suffix} files cannot hold {template.codec_context.name}{advice(template, suffix)}; name another "
                "output"
            )
        container = stack.enter_context(
            av.open(str(temporary), "w", format=CONTAINERS[suffix], container_options=options)
        )
        output = container.add_stream_from_template(template, opaque=True)
        output.codec_context.sample_aspect_ratio = source.sample_aspect
        # else Matroska tells none, and players take the clock of the codec for one: 1000 frames a second
        output.codec_context.framerate = source.rate.limit_denominator(1 << 30)
        if template.codec_context.name == "hevc" and suffix in (".mp4", ".mov"):
            output.codec_tag = "hvc1"
        carriers: dict[int, Carrier] = {}
        notes: list[str] = []
        others: Iterator[Any] = iter(())
        if source.path.is_file():
            opened, picture = stack.enter_context(open_video(source.path))
            label(output, picture)
            _copy_notes(container, opened, source)
            carriers, notes = _carriers(container, opened, picture, suffix, source)
            if carriers:
                others = _carried_packets(opened, carriers, source.path)
        container.start_encoding()
        pictures = _picture_packets(measured, output, _last_end(measured[-1], source))
        for packet in heapq.merge(pictures, others, key=_moment):
            container.mux(packet)
        notes += shape_notes(suffix, template.codec_context.name, source.sample_aspect)
    if counts_milliseconds(suffix) and any(
        between_milliseconds(time, time_base) for piece in measured for time in piece.times
    ):
        notes.append(rounding_note(suffix))
    return notes
