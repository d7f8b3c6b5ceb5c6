"""Footage in video files and folders of frames."""

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any

import av
import numpy as np
from joblib import Parallel, delayed

from dvface.data_prep.plan import CleanClip, Cutting, Plan, Rejection, clip_key, starts, too_short
from dvface.data_prep.prepare.names import safe
from dvface.errors import UserError
from dvface.report.progress import Progress
from dvface.video.find import is_frame, is_video_file
from dvface.video.probe import probe
from dvface.video.read import frame_files, open_video, read_frames, read_video

FRAME_FOLDER_RATE = Fraction(25)  # pictures have none
LOOKING_AT_ONCE = 8  # files; the disk is what they wait for


@dataclass(frozen=True)
class Video:
    """One video of the input.

    Attributes:
        key: its name made safe for shards: letters, digits, ``_`` and ``-``.
        name: its path relative to the input folder.
        path: a file or a folder of frames.
    """

    key: str
    name: str
    path: Path


@dataclass(frozen=True)
class Cut:
    """One clip of a video.

    Attributes:
        key: of the clip.
        video: where it is cut from.
        rate: frames a second.
        start: first frame, None for the whole video.
        frames: how many, None for the whole video.
    """

    key: str
    video: Video
    rate: str
    start: int | None
    frames: int | None


@dataclass(frozen=True)
class VideoUnit:
    """Clips of one or several videos, those of one video together and in order."""

    name: str
    cuts: tuple[Cut, ...]

    @property
    def count(self) -> int:
        """Number of clips."""
        return len(self.cuts)

    def read(self) -> Iterator[CleanClip | Rejection]:
        """See `Unit.read`; every video is decoded once, from its beginning."""
        for video, cuts in groupby(self.cuts, key=lambda cut: cut.video):
            frames = read_frames(video.path)
            position = 0
            try:
                for cut in cuts:
                    start = cut.start or 0
                    stop = None if cut.frames is None else start + cut.frames - position
                    clip = list(islice(frames, start - position, stop))
                    if cut.frames is not None and len(clip) < cut.frames:
                        raise UserError(f"ends within the frames {start} to {start + cut.frames}, which it promises")
                    position = start + len(clip)
                    meta = {"source": video.name, "first_frame": start}
                    yield CleanClip(cut.key, np.stack(clip), Fraction(cut.rate), meta)
            except UserError as error:
                yield Rejection(video.name, _reason(error, video))


class VideoFootage:
    """A video file, a folder of frames, or a folder that holds such at any depth.

    Names that begin with a dot are passed over.

    Args:
        root: the file or folder.

    Raises:
        UserError: it holds no video at all, or two names that give one key.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        found = list(_walk(root)) if root.is_dir() else [root]
        base = root if root.is_dir() and root not in found else root.absolute().parent
        self.refused = [
            Rejection(_relative(item.source, base), item.reason) for item in found if isinstance(item, _Refused)
        ]
        paths = [item.absolute() for item in found if isinstance(item, Path)]
        videos = [Video(_key(path, base), _relative(path, base), path) for path in paths]
        self.videos = sorted(videos, key=lambda video: video.key)
        if not self.videos:
            raise UserError(f"input={root} holds no video file and no folder of frames; give another folder")
        for one, other in pairwise(self.videos):
            if one.key == other.key:
                raise UserError(f"{one.name} and {other.name} would both be called {one.key}; rename one")

    def statement(self) -> dict[str, Any]:
        """See `Footage.statement`: names and sizes of all files."""
        lines = [f"{video.name}\t{_size(video.path)}\n" for video in self.videos]
        digest = hashlib.sha256("".join(lines).encode()).hexdigest()
        return {"kind": "videos", "count": len(lines), "names_and_sizes_sha256": digest}

    def plan(self, cutting: Cutting, known: Mapping[str, Any] | None) -> tuple[Plan, dict[str, Any]]:
        """See `Footage.plan`."""
        facts = dict(known) if known is not None else self._look()
        rejected, cuts = list(self.refused), []
        left_out, largest = 0, ("", 0)
        for video in self.videos:
            fact = facts[video.key]
            if "reason" in fact:
                rejected.append(Rejection(video.name, fact["reason"]))
                continue
            firsts, rest = starts(fact["frames"], cutting)
            if not firsts:
                rejected.append(Rejection(video.name, too_short(fact["frames"], cutting)))
                continue
            left_out += rest
            frames = cutting.frames or fact["frames"]
            largest = max(largest, (video.name, frames * fact["height"] * fact["width"] * 3), key=lambda pair: pair[1])
            cuts += [Cut(clip_key(video.key, at), video, fact["rate"], at, cutting.frames) for at in firsts]
        cuts.sort(key=lambda cut: cut.key)
        for one, other in pairwise(cuts):
            if one.key == other.key:
                raise UserError(f"clips of {one.video.name} and {other.video.name} would both be {one.key}; rename one")
        return Plan(_units(cuts, cutting), rejected, left_out, largest), facts

    def excerpt(self, frames: int) -> np.ndarray:
        """See `Footage.excerpt`."""
        for video in self.videos:
            fact = examine(video)
            if "reason" not in fact:
                start = max(0, (fact["frames"] - frames) // 2)
                return read_video(video.path, start, start + frames)
        raise UserError(f"no video of input={self.root} can be read ({fact['reason']}); give another folder")

    def _look(self) -> dict[str, Any]:
        """Frames, size and rate of every video by its key, or the reason why it cannot be used."""
        look = Parallel(n_jobs=LOOKING_AT_ONCE, backend="threading", return_as="generator")
        facts = {}
        with Progress("look", total=len(self.videos)) as bar:
            for video, fact in zip(self.videos, look(delayed(examine)(one) for one in self.videos), strict=True):
                facts[video.key] = fact
                bar.advance(note=video.name)
        return facts


@dataclass(frozen=True)
class _Refused:
    source: Path
    reason: str


def _walk(folder: Path) -> Iterator[Path | _Refused]:
    """Videos at any depth, and what looks like one and is not."""
    inside = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    files = [path for path in inside if path.is_file()]
    folders = [path for path in inside if path.is_dir()]
    videos, pictures = [path for path in files if is_video_file(path)], any(map(is_frame, files))
    if pictures and not videos:
        yield folder
    elif pictures:
        yield _Refused(folder, "holds pictures beside videos; only its videos are taken")
    elif not videos and not folders:
        yield _Refused(folder, "holds no video and no frames")
    yield from videos
    for below in folders:
        # A link back to a folder above would be walked for ever.
        if below.resolve() not in (folder.resolve(), *folder.resolve().parents):
            yield from _walk(below)


def _relative(path: Path, base: Path) -> str:
    relative = Path(os.path.relpath(path, base)).as_posix()
    # A manifest is UTF-8; names on a disk may be anything.
    return relative.encode(errors="surrogateescape").decode(errors="replace")


def _key(path: Path, base: Path) -> str:
    relative = Path(_relative(path, base))
    whole = relative.as_posix() if path.is_dir() else relative.with_suffix("").as_posix()
    return safe(whole)


def _size(path: Path) -> str:
    """Bytes of a file; pictures and bytes of a folder."""
    if path.is_file():
        return str(path.stat().st_size)
    sizes = [file.stat().st_size for file in frame_files(path)]
    return f"{len(sizes)} {sum(sizes)}"


def examine(video: Video) -> dict[str, Any]:
    """``frames``, ``height``, ``width`` and ``rate``, or ``reason``."""
    try:
        if video.path.is_dir():
            height, width, _ = next(read_frames(video.path)).shape
            frames, rate = len(frame_files(video.path)), FRAME_FOLDER_RATE
        else:
            info = probe(video.path)
            height, width, rate, frames = info.height, info.width, info.rate, _count(video.path)
    except UserError as error:
        return {"reason": _reason(error, video)}
    return {"frames": frames, "height": height, "width": width, "rate": str(rate)}


def _reason(error: UserError, video: Video) -> str:
    """The error without the path that it begins with: the same wherever the footage lies."""
    return str(error).removeprefix(f"{video.path} ")


def _count(path: Path) -> int:
    """Coded frames in the file: counted, since what containers promise may be wrong; nothing is decoded.

    Raises:
        UserError: a frame is damaged or cut short.
    """
    with open_video(path) as (container, stream):
        try:
            packets = [packet.is_corrupt for packet in container.demux(stream) if packet.size and not packet.is_discard]
        except av.FFmpegError as error:
            raise UserError(f"{path} is damaged ({error.strerror}); give a whole video") from error
    if any(packets):
        raise UserError(f"{path} is damaged or cut short among its {len(packets)} frames; give a whole video")
    return len(packets)


def _units(cuts: Sequence[Cut], cutting: Cutting) -> list[VideoUnit]:
    size = cutting.clips_per_unit
    if cutting.mixed:
        groups = [tuple(cuts[at : at + size]) for at in range(0, len(cuts), size)]
        return [VideoUnit(f"shard-{number:05d}", group) for number, group in enumerate(groups)]
    own = [list(group) for _, group in groupby(cuts, key=lambda cut: cut.video)]
    pieces = [tuple(group[at : at + size]) for group in own for at in range(0, len(group), size)]
    return [VideoUnit(piece[0].key, piece) for piece in pieces]
