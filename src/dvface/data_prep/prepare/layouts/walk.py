"""Everything below a folder that may be a video, in archives too."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.archives import is_archive, is_other_archive, members
from dvface.data_prep.prepare.names import shown
from dvface.errors import UserError
from dvface.video.find import is_frame, is_video_file


@dataclass(frozen=True)
class Found:
    """A video file, a folder of frames, or a video within an archive.

    Attributes:
        full: its path relative to the input as the disk has it, with ``/``; of an archive ``ARCHIVE/MEMBER``.
        stem: the same without a file's suffix.
        path: the file, folder or archive; absolute.
        member: the name within the archive, None elsewhere.
        size: bytes.
    """

    full: str
    stem: str
    path: Path
    member: str | None
    size: int


@dataclass(frozen=True)
class Listing:
    """What one folder holds, links followed, names that begin with a dot passed over.

    Attributes:
        files: all but ``linked``.
        folders: real ones.
        links: those to folders.
        linked: links to videos and archives.
        faults: what is no file, and why.
    """

    files: dict[str, os.stat_result] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    linked: dict[str, os.stat_result] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)


def walk(root: Path, videos: bool = True) -> Iterator[Found | Rejection]:
    """What may be a video, and every file that is none with the reason; in no particular order.

    A folder is walked once, however many links lead to it, and what lies above the input is never walked. So are
    videos and archives taken once; only hard links make two files of one.

    Args:
        root: a folder, or one file.
        videos: False takes folders of frames only.

    Raises:
        UserError: it does not exist.
    """
    if not root.exists():
        raise UserError(f"input={root} does not exist; correct the path")
    root = root.absolute()
    if root.is_file():
        yield from _file(root, root.name, root.stat().st_size, videos)
        return
    # What is real first, so that it is the link that is left out.
    waiting, links, linked_files = [root], list[Path](), list[tuple[Path, os.stat_result]]()
    seen: dict[tuple[int, int], str] = {}
    while waiting or links:
        linked = not waiting
        folder = waiting.pop() if waiting else links.pop(0)
        name = folder.relative_to(root).as_posix()
        if linked and folder.resolve() in root.resolve().parents:
            yield Rejection(shown(name), "is a link to a folder above the input")
            continue
        try:
            status = folder.stat()
            listing = _listed(folder)
        except OSError as error:
            yield Rejection(shown(name), f"cannot be read ({error.strerror})")
            continue
        first = seen.setdefault(_identity(status), name)
        if linked and first != name:
            yield Rejection(shown(name), f"is a link to the folder {shown(first)}, which is taken already")
            continue
        waiting += [folder / below for below in listing.folders]
        links += [folder / below for below in listing.links]
        linked_files += [(folder / file, status) for file, status in listing.linked.items()]
        for file, status in listing.files.items():
            if _holds_videos(file):
                seen.setdefault(_identity(status), (folder / file).relative_to(root).as_posix())
        yield from _folder(folder, root, listing, videos)
    for path, status in linked_files:
        name = path.relative_to(root).as_posix()
        first = seen.setdefault(_identity(status), name)
        if videos and first != name:
            yield Rejection(shown(name), f"is a link to {shown(first)}, which is taken already")
        else:
            yield from _file(path, name, status.st_size, videos)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _holds_videos(name: str) -> bool:
    return is_archive(name) or is_video_file(Path(name))


def _listed(folder: Path) -> Listing:
    listing = Listing()
    with os.scandir(folder) as entries:
        for entry in sorted(entries, key=lambda entry: entry.name):
            if entry.name.startswith("."):
                continue
            try:
                if entry.is_dir():
                    (listing.links if entry.is_symlink() else listing.folders).append(entry.name)
                elif entry.is_file():
                    late = entry.is_symlink() and _holds_videos(entry.name)
                    (listing.linked if late else listing.files)[entry.name] = entry.stat()
                elif entry.is_symlink() and not os.path.exists(entry.path):
                    listing.faults[entry.name] = "is a broken link"
                else:
                    # A pipe would be waited on for ever.
                    listing.faults[entry.name] = "is no regular file"
            except OSError as error:
                listing.faults[entry.name] = f"cannot be read ({error.strerror})"
    return listing


def _folder(folder: Path, root: Path, listing: Listing, videos: bool) -> Iterator[Found | Rejection]:
    """The folder itself where it is one of frames, and what its files are; links to videos come later."""
    base = folder.relative_to(root)
    name = base.as_posix() if folder != root else folder.name
    pictures = {file for file in listing.files if is_frame(Path(file))}
    if pictures and not (videos and any(is_video_file(Path(file)) for file in (*listing.files, *listing.linked))):
        yield Found(name, name, folder, None, sum(listing.files[file].st_size for file in pictures))
    elif pictures:
        yield Rejection(shown(name), "holds pictures beside videos; only its videos are taken")
    for file, status in listing.files.items():
        if file not in pictures:
            yield from _file(folder / file, (base / file).as_posix(), status.st_size, videos)
    for file, fault in listing.faults.items():
        yield Rejection(shown((base / file).as_posix()), fault)
    if folder == root and listing == Listing():
        yield Rejection(shown(name), "is empty")


def _file(path: Path, name: str, size: int, videos: bool) -> Iterator[Found | Rejection]:
    if (is_archive(name) or is_video_file(path)) and not videos:
        yield Rejection(shown(name), "is no folder of frames, and this layout takes nothing else")
    elif is_archive(name):
        yield from _archive(path, name)
    elif is_other_archive(name):
        yield Rejection(shown(name), "is an archive that cannot be read here; unpack it first")
    elif is_video_file(path):
        yield Found(name, PurePosixPath(name).with_suffix("").as_posix(), path, None, size)
    else:
        yield Rejection(shown(name), _no_video(name))


def _archive(path: Path, name: str) -> Iterator[Found | Rejection]:
    try:
        inside = members(path)
    except UserError as error:
        yield Rejection(shown(name), str(error).removeprefix(f"{path} "))
        return
    pictures = 0
    for member in inside:
        full = PurePosixPath(name, member.name.lstrip("/")).as_posix()
        if member.fault:
            yield Rejection(shown(full), member.fault)
        elif any(part.startswith(".") for part in PurePosixPath(full).parts):
            continue
        elif is_frame(Path(member.name)):
            pictures += 1
        elif not is_video_file(Path(member.name)):
            yield Rejection(shown(full), _no_video(member.name))
        else:
            yield Found(full, PurePosixPath(full).with_suffix("").as_posix(), path, member.name, member.size)
    if not inside:
        yield Rejection(shown(name), "is an empty archive")
    if pictures:
        yield Rejection(shown(name), f"is an archive of pictures ({pictures}); unpack it first")


def _no_video(name: str) -> str:
    suffix = PurePosixPath(name).suffix
    return f"its suffix {shown(suffix)} is no video's" if suffix else "has no suffix of a video"
