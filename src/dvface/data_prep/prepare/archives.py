"""Videos within zip and tar archives: listed without unpacking, unpacked one at a time.

No path is ever made of a name that an archive gives. A member of a compressed tar is found only by unpacking all that
lies before it, so large ``.tar.gz`` files are better unpacked once by hand.
"""

import os
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from dvface.data_prep.prepare.names import shown
from dvface.data_prep.prepare.source import Source
from dvface.errors import UserError

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
OTHER_ARCHIVES = (".7z", ".bz2", ".gz", ".lz4", ".rar", ".tbz2", ".txz", ".xz", ".zst")
BLOCK = 1 << 20
ENCRYPTED = 1  # of a zip member's flags
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
DAMAGE = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError)
"""What the readers of archives raise over bytes that are no archive."""


@dataclass(frozen=True)
class Member:
    """One file within an archive.

    Attributes:
        name: as the archive has it.
        size: bytes once unpacked, as the archive promises.
        fault: why it must not be touched; None for an ordinary file, video or not.
    """

    name: str
    size: int
    fault: str | None


def is_archive(name: str) -> bool:
    """Whether the name is that of an archive whose videos can be read where they are."""
    return name.lower().endswith(ARCHIVES)


def is_other_archive(name: str) -> bool:
    """Whether the name is that of an archive that must be unpacked first."""
    return not is_archive(name) and name.lower().endswith(OTHER_ARCHIVES)


def members(archive: Path) -> list[Member]:
    """Everything in the archive but folders, in its order; nothing is unpacked.

    Raises:
        UserError: it is damaged or no archive.
    """
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as packed:
                listed = [(info.filename, info.file_size, _zip_fault(info)) for info in packed.infolist()]
        else:
            with tarfile.open(archive, tarinfo=_Checked) as tar:
                listed = [(info.name, info.size, _tar_fault(info)) for info in tar if not info.isdir()]
    except DAMAGE as error:
        raise _damaged(archive, error) from error
    # "./a.mp4", as tar writes it, is a.mp4.
    times = Counter(PurePosixPath(name) for name, _, _ in listed)
    return [
        Member(
            name,
            size,
            "occurs more than once in the archive" if times[PurePosixPath(name)] > 1 else fault or _name_fault(name),
        )
        for name, size, fault in listed
        if not name.endswith("/")
    ]


@contextmanager
def open_source(source: Source, scratch: Path) -> Iterator[Path]:
    """See `Opener`: the source's own path, or a copy of the archive's member under a name of ours.

    Raises:
        UserError: the archive is damaged, no longer has the member, or the member is larger than what is listed or
            than what is free in ``scratch``.
    """
    if source.member is None:
        yield source.path
        return
    free = shutil.disk_usage(scratch).free
    if source.size > free:
        raise UserError(
            f"{source.path} promises {source.size} bytes for {shown(source.member)}, {scratch} has room for {free}; "
            "unpack it elsewhere"
        )
    handle, name = tempfile.mkstemp(suffix=PurePosixPath(source.member).suffix.lower(), dir=scratch)
    try:
        with os.fdopen(handle, "wb") as target:
            _unpack(source.path, source.member, source.size, target)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


class _Checked(tarfile.TarInfo):
    """Raises over a damaged header, where `tarfile` takes it for the end of the archive."""

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "_Checked":
        try:
            return super().fromtarfile(tar)
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error


def _unpack(archive: Path, member: str, size: int, target: IO[bytes]) -> None:
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as packed, packed.open(member) as file:
                copied = _copy(file, target, size)
        else:
            with tarfile.open(archive, tarinfo=_Checked) as tar:
                # On the way through, not by name afterwards: a compressed tar cannot go back.
                info = next((info for info in tar if info.name == member), None)
                content = tar.extractfile(info) if info else None
                if content is None:
                    raise KeyError(member)
                copied = _copy(content, target, size)
    except KeyError as error:
        raise UserError(f"{archive} no longer holds {shown(member)}; start again with a new output") from error
    except (*DAMAGE, RuntimeError) as error:
        raise _damaged(archive, error, member) from error
    if copied != size:
        raise UserError(f"{archive} is damaged: {shown(member)} is not of the size that is listed; copy it again")


def _copy(file: Any, target: IO[bytes], size: int) -> int:
    """Bytes copied; one byte more than ``size`` at most, so that a lie about the size is found and goes no further."""
    copied = 0
    while block := file.read(min(BLOCK, size + 1 - copied)):
        target.write(block)
        copied += len(block)
    return copied


def _damaged(archive: Path, error: Exception, member: str | None = None) -> UserError:
    where = f" at {shown(member)}" if member else ""
    reason = " ".join(str(error).split()) or type(error).__name__
    return UserError(f"{archive} is damaged or no archive{where} ({shown(reason)}); copy it again")


def _zip_fault(info: zipfile.ZipInfo) -> str | None:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & ENCRYPTED:
        return "is encrypted; unpack it first"
    if info.compress_type not in READABLE:
        return "is packed by a method that cannot be read here; unpack it first"
    if stat.S_ISLNK(kind):
        return "is a link within an archive"
    return None if kind in (0, stat.S_IFREG, stat.S_IFDIR) else "is no regular file"


def _tar_fault(info: tarfile.TarInfo) -> str | None:
    if info.issym() or info.islnk():
        return "is a link within an archive"
    # A sparse file can promise more than the disk holds.
    return None if info.isreg() and not info.issparse() else "is no regular file"


def _name_fault(name: str) -> str | None:
    parts = name.replace("\\", "/").split("/")
    if parts[0] == "" or parts[0][1:2] == ":":
        return "has an absolute name within its archive"
    if ".." in parts:
        return "has a name that leads out of its archive"
    if is_archive(name) or is_other_archive(name):
        return "is an archive within an archive; unpack it first"
    return None
