"""A folder of videos in, a folder of restored videos out."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvface.errors import UserError
from dvface.inference.options import RestoreReport
from dvface.video.encodings import CONTAINERS
from dvface.video.find import is_video_file


@dataclass(frozen=True)
class FolderReport:
    """What became of the videos of a folder.

    Attributes:
        restored: reports, by name.
        present: videos whose output was there already.
        refused: name to reason.
    """

    restored: dict[str, RestoreReport]
    present: tuple[str, ...]
    refused: dict[str, str]


def videos_below(folder: Path) -> list[Path]:
    """The video files in ``folder`` and the folders in it, by name, hidden ones left out.

    Raises:
        UserError: there is none.
    """
    found = sorted(
        path
        for path in folder.rglob("*")
        if is_video_file(path)
        and path.is_file()
        and not any(part.startswith(".") or part.endswith(".part") for part in path.relative_to(folder).parts)
    )
    if not found:
        raise UserError(f"folder {folder} holds no videos and no png or jpg frames; give a video or a folder of them")
    return found


def outputs(videos: Sequence[Path]) -> list[Path]:
    """Where each result goes: the same name; what containers that are only read hold becomes an .mp4.

    ``a.avi`` becomes ``a.mp4``, beside an ``a.mp4`` however ``a.avi.mp4``.
    """
    taken = set(videos)
    found: list[Path] = []
    for video in videos:
        output = video if video.suffix.lower() in CONTAINERS else video.with_suffix(".mp4")
        if output != video and output in taken:
            output = video.with_name(video.name + ".mp4")
        taken.add(output)
        found.append(output)
    return found


def restore_folder(
    source: Path,
    target: Path,
    overwrite: bool,
    restore: Callable[[Path, Path], RestoreReport],
    say: Callable[[str], None],
) -> FolderReport:
    """Restore every video below ``source`` to the same place below ``target``.

    A video that cannot be restored is named and the others go on. Outputs that are there already are left alone, so
    that the same call goes on where an interrupted one was.

    Args:
        source: a folder of videos.
        target: a folder, made if needed, that does not lie within ``source``.
        overwrite: restore also what is there already.
        restore: restores one video.
        say: told of every video.

    Raises:
        UserError: there is no video, or ``target`` lies within ``source``.
    """
    if target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"output {target} lies within the input folder {source}; name a folder elsewhere")
    if target.exists() and not target.is_dir():
        raise UserError(f"output {target} is a file, the input a folder; name a folder")
    restored: dict[str, RestoreReport] = {}
    present: list[str] = []
    refused: dict[str, str] = {}
    videos = videos_below(source)
    places = outputs([video.relative_to(source) for video in videos])
    for number, (video, place) in enumerate(zip(videos, places, strict=True), start=1):
        name, output = str(video.relative_to(source)), target / place
        say(f"{number}/{len(videos)} {name}")
        if output.exists() and not overwrite:
            present.append(name)
            continue
        try:
            restored[name] = restore(video, output)
        except UserError as error:
            refused[name] = str(error)
            say(f"left out: {error}")
    return FolderReport(restored, tuple(present), refused)
