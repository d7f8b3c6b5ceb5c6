"""Which restored video belongs to which reference."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dvface.errors import UserError
from dvface.video.find import is_frame_folder, is_video_file


@dataclass(frozen=True)
class Matched:
    """Pairs of videos, and what has no twin.

    Attributes:
        pairs: name, restored, reference; None where there is no reference at all.
        alone: sentences on videos that one side lacks.
    """

    pairs: Sequence[tuple[str, Path, Path | None]]
    alone: list[str]


def matched(restored: Path, reference: Path | None) -> Matched:
    """Two files, two folders of frames, or two folders of videos matched by name; or restored ones alone.

    Raises:
        UserError: a path does not exist, there is no video, or nothing matches.
    """
    for option, path in (("restored", restored), ("reference", reference)):
        if path is not None and not path.exists():
            raise UserError(f"{option}={path} does not exist; correct the path")
    if reference is None:
        pairs = [(name, path, None) for name, path in _videos(restored).items()]
        if not pairs:
            raise UserError(f"restored={restored} holds no video and no folder of frames; give another path")
        return Matched(pairs, [])
    if _is_one_video(restored) and _is_one_video(reference):
        return Matched([(_name(restored), restored, reference)], [])
    ours, theirs = _videos(restored), _videos(reference)
    for option, path, found in (("restored", restored, ours), ("reference", reference, theirs)):
        if not found:
            raise UserError(f"{option}={path} holds no video and no folder of frames; give another path")
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise UserError(f"no video has the same name in restored={restored} and reference={reference}; rename one side")
    alone = [f"{name}: no reference of that name" for name in ours if name not in theirs]
    alone += [f"{name}: no restored video of that name" for name in theirs if name not in ours]
    return Matched([(name, ours[name], theirs[name]) for name in shared], alone)


def _is_one_video(path: Path) -> bool:
    """A file, or a folder of frames; a picture beside videos is only a picture."""
    return path.is_file() or (is_frame_folder(path) and not any(map(is_video_file, path.iterdir())))


def _videos(path: Path) -> dict[str, Path]:
    """Name to video: the path itself, or what lies in the folder."""
    if _is_one_video(path):
        return {_name(path): path}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        # a folder of frames counts, an empty one or one of something else does not
        if file.name.startswith(".") or not (is_frame_folder(file) if file.is_dir() else is_video_file(file)):
            continue
        if _name(file) in found:
            raise UserError(f"{found[_name(file)]} and {file} have the same name; rename one")
        found[_name(file)] = file
    return found


def _name(path: Path) -> str:
    """A folder's name has no suffix, whatever dots are in it."""
    return path.name if path.is_dir() else path.stem
