"""The data set's folder while it is being made: what it is made of, who works in it, what a killed run left."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from typing import Any

from filelock import FileLock, Timeout

from dvface.config.compose import flatten
from dvface.data.shards import MANIFEST, PREVIEW, REJECTED, SETTINGS
from dvface.data_prep.work import PARTS
from dvface.errors import UserError

LOCK = ".lock"
TEMPORARY_SUFFIXES = (".tar", ".zip", ".mp4", ".json", ".jsonl", ".png", ".html")
SOFTWARE = "software"
"""What of the settings no longer matters once the data set is finished."""


@dataclass(frozen=True)
class Kind:
    """How a command marks the data sets that it makes.

    Attributes:
        settings: file that says what the data set is made of; written first.
        last: file that says that the data set is complete; written last.
    """

    settings: str
    last: str


PAIRS = Kind(SETTINGS, MANIFEST)
"""Of the degrade command."""


def check_same(folder: Path, settings: Mapping[str, Any], kind: Kind = PAIRS) -> None:
    """Refuse a folder that holds anything but what these settings make.

    Args:
        folder: may not exist yet.
        settings: content of the kind's settings file.
        kind: of the data set.

    Raises:
        UserError: what differs, and what to do.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"output={folder} is a file; give a folder")
    if not (folder / kind.settings).is_file():
        others = [path.name for path in _visible(folder) if path.name != PREVIEW]
        if others:
            raise UserError(f"output={folder} holds other files ({sorted(others)[0]}); give a new or empty folder")
        return
    try:
        found = json.loads((folder / kind.settings).read_text(encoding="utf-8"))
    except json.JSONDecodeError as error:
        raise UserError(
            f"{folder / kind.settings} is damaged; give another output folder or delete this one"
        ) from error
    before, now = flatten(found), flatten(dict(settings))
    changed = [
        key
        for key in dict.fromkeys([*before, *now])
        if before.get(key) != now.get(key) and not (is_finished(folder, kind) and key.startswith(SOFTWARE))
    ]
    if changed:
        # The recipe's name says enough, and the sentence that describes it says the same at length.
        dull = ("recipe", "degradation.") if "degradation.name" in changed else ("recipe",)
        named = [key for key in changed if key == "degradation.name" or not key.startswith(dull)] or changed
        said = "; ".join(_change(key, before.get(key), now.get(key)) for key in named[:3])
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        raise UserError(
            f"output={folder} is a data set of other settings ({said}{more}); give another output folder or delete it"
        )


def _change(key: str, before: Any, now: Any) -> str:
    if key.endswith("_sha256"):
        return f"{key.rpartition('.')[0]} has changed"
    return f"{key}: {before} there, {now} asked"


def is_finished(folder: Path, kind: Kind = PAIRS) -> bool:
    """Whether the data set is complete."""
    return (folder / kind.last).is_file() and (folder / kind.settings).is_file()


def clean_up(folder: Path, kind: Kind = PAIRS) -> None:
    """Remove half-written files, which a killed process leaves, and, once the data set is finished, its parts."""
    for path in folder.rglob(".*"):
        if path.is_file() and (path.suffix in TEMPORARY_SUFFIXES or path.parent.name == PARTS):
            path.unlink(missing_ok=True)
    if is_finished(folder, kind) and (folder / PARTS).is_dir():
        rmtree(folder / PARTS)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Keep other processes out of ``folder``; the system frees the lock of a process that is killed.

    Raises:
        UserError: another process works there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout as error:
        raise UserError(f"another process is at work in output={folder}; wait for it or end it") from error
    try:
        yield
    finally:
        (folder / LOCK).unlink(missing_ok=True)
        lock.release()


def rejected_file(folder: Path) -> Path:
    """The list of inputs of which nothing was made."""
    return folder / REJECTED


def _visible(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if not path.name.startswith(".")] if folder.is_dir() else []
