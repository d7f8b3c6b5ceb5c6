"""Where a pretrained file lies: explicit path, ``$DVFACE_WEIGHTS``, the user's cache, an installed package."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Literal

from dvface.errors import UserError
from dvface.files import sha256

FOLDER_VARIABLE = "DVFACE_WEIGHTS"
Place = Literal["folder", "cache", "package"]


_finds: ContextVar[list[Path] | None] = ContextVar("finds", default=None)


@contextmanager
def noting_finds() -> Iterator[list[Path]]:
    """Yield a list that grows by every file that `Weights.find` gives within this context, in this thread."""
    finds: list[Path] = []
    token = _finds.set(finds)
    try:
        yield finds
    finally:
        _finds.reset(token)


def _noted(path: Path) -> Path:
    finds = _finds.get()
    if finds is not None:
        finds.append(path)
    return path


class WeightsMissing(Exception):
    """A pretrained file cannot be had; the message names it, where it would have been looked for and how to get it.

    Not a `UserError`: a measure whose network is missing is left out and said so; the command goes on.
    """


def cache_folder() -> Path | None:
    """``$XDG_CACHE_HOME/dvface/weights``, by default ``~/.cache/dvface/weights``; None for a user without a home."""
    given = os.environ.get("XDG_CACHE_HOME", "")
    if os.path.isabs(given):  # the XDG specification has relative ones ignored
        return Path(given) / "dvface/weights"
    try:
        return Path.home() / ".cache/dvface/weights"
    except RuntimeError:
        return None


def shown(path: Path) -> str:
    """The path as a message shows it, with ``~`` for the home folder."""
    home = os.path.expanduser("~")
    return f"~/{path.relative_to(home)}" if path.is_relative_to(home) else str(path)


@dataclass(frozen=True)
class PackagedFile:
    """A file inside an installed distribution, found without importing the package."""

    package: str
    path: str

    def locate(self) -> Path | None:
        """The file's path, or None when the distribution is not installed or lacks the file."""
        try:
            found = Path(str(distribution(self.package).locate_file(self.path)))
        except PackageNotFoundError:
            return None
        return found if found.is_file() else None


@dataclass(frozen=True)
class Form:
    """One form in which a network's file exists, known by its file name.

    Attributes:
        file_name: without folders.
        sha256: 64 hexadecimal digits; fewer, at least 8, where only the first are published; None where not known.
        size: bytes, None where not known.
    """

    file_name: str
    sha256: str | None = None
    size: int | None = None

    def fault(self, size: int, digest: str) -> str | None:
        """What of a file of ``size`` bytes and the SHA-256 ``digest`` is not as it should be, None for nothing."""
        if self.size is not None and size != self.size:
            return f"has {size} bytes instead of {self.size}"
        if self.sha256 is not None and not digest.startswith(self.sha256):
            return f"has the SHA-256 {digest[:16]}… instead of {self.sha256[:16]}…"
        return None


@dataclass(frozen=True)
class Found:
    """A file that was looked up.

    Attributes:
        path: where it lies.
        place: what kind of place that is.
    """

    path: Path
    place: Place


@dataclass(frozen=True)
class Weights:
    """One pretrained file: what it is, who made it, and the places where it may lie.

    Attributes:
        name: what the file is called in messages and manifests.
        folder_names: paths below ``$DVFACE_WEIGHTS`` and below the cache, tried in order.
        packaged: the installed distribution that carries it, if any.
        key: the word for it on the command line, empty for one outside the catalogue.
        used_by: the measures, losses and detectors that read it.
        source: where its makers publish it, for people; no direct address.
        licence: as its makers state it.
        url: the file's direct address, https; None where no public one is known.
        forms: what its file may be, by file name; nothing is known of one under another name.
    """

    name: str
    folder_names: Sequence[str] = ()
    packaged: PackagedFile | None = None
    key: str = ""
    used_by: Sequence[str] = ()
    source: str = ""
    licence: str = ""
    url: str | None = None
    forms: Sequence[Form] = ()

    def find(self, explicit: str | Path | None = None) -> Path:
        """The file's path: ``explicit``, else where `locate` finds it.

        Raises:
            UserError: ``explicit`` is given and does not exist.
            WeightsMissing: it lies in none of the places; the message lists them.
        """
        if explicit is not None:
            path = Path(explicit)
            if not path.is_file():
                raise UserError(f"weights file {path} ({self.name}) does not exist; correct the path")
            return _noted(path)
        found = self.locate()
        if found is None:
            looked = f" (looked in: {', '.join(self._places())})"
            raise WeightsMissing(f"{self.name} is not at hand{looked}{self._remedy()}")
        return _noted(found.path)

    def locate(self) -> Found | None:
        """The first that exists of ``$DVFACE_WEIGHTS``, the user's cache, the installed package; None for none."""
        return next((found for found in self._candidates() if found.path.is_file()), None)

    def form(self, path: Path) -> Form:
        """What the file at ``path`` should be, by its name; a form of which nothing is known for a name not listed."""
        return next((form for form in self.forms if form.file_name == path.name), Form(path.name))

    def check(self, path: Path) -> str | None:
        """What of the file at ``path`` is not as published, None for nothing or where nothing is known of it."""
        form = self.form(path)
        return form.fault(path.stat().st_size, sha256(path) if form.sha256 else "")

    @property
    def fetched_name(self) -> str:
        """Which of ``folder_names`` the file at ``url`` gets: the one that ends like it, otherwise the first."""
        ending = PurePosixPath(self.url or "").name
        return next((name for name in self.folder_names if PurePosixPath(name).name == ending), self.folder_names[0])

    @property
    def fetched_form(self) -> Form:
        """What the file at ``url`` is."""
        return self.form(Path(self.fetched_name))

    def _candidates(self) -> Iterator[Found]:
        if folder := os.environ.get(FOLDER_VARIABLE):
            yield from (Found(Path(folder) / name, "folder") for name in self.folder_names)
        if cache := cache_folder():
            yield from (Found(cache / name, "cache") for name in self.folder_names)
        if self.packaged and (carried := self.packaged.locate()):
            yield Found(carried, "package")

    def _places(self) -> Iterator[str]:
        yield from (f"${FOLDER_VARIABLE}/{name}" for name in self.folder_names)
        if self.folder_names and (cache := cache_folder()):
            yield shown(cache)
        if self.packaged:
            yield f"the installed package {self.packaged.package}"

    def _remedy(self) -> str:
        if self.key and self.url:
            return f"; fetch it: dvface weights fetch={self.key}"
        return f"; get it from {self.source}" if self.source else ""
