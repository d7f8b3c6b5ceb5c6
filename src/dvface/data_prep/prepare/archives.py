"""Videos within zip and tar archives: listed without unpacking, unpacked one at a time.

No path is ever made of a name that an archive gives. A member of a compressed tar is found only by unpacking all that
lies before it, so large ``.tar.gz`` files are better unpacked once by hand.
"""

import io
import lzma
import os
import shutil
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from dvface.data_prep.prepare.names import shown
from dvface.data_prep.prepare.source import Source
from dvface.errors import UserError, fault_of_machine

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")
OTHER_ARCHIVES = (".7z", ".bz2", ".gz", ".lz4", ".rar", ".tbz2", ".txz", ".xz", ".zst")
BLOCK = 1 << 20
ENCRYPTED = 1  # of a zip member's flags
READABLE = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
MOST_NAME = 1 << 20  # bytes that a tar may spend on the name and facts of one file
EXTENDED = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
DAMAGE = (
    *(zipfile.BadZipFile, tarfile.TarError, zlib.error, lzma.LZMAError, struct.error),
    *(EOFError, OSError, OverflowError, RuntimeError, ValueError),
)
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
        OSError: the machine is at its end, see `fault_of_machine`.
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
def open_source(source: Source, scratch: Path, beat: Callable[[], None] = lambda: None) -> Iterator[Path]:
    """The source's own path, or a copy of the archive's member under a name of ours, removed after.

    Args:
        source: what to open.
        scratch: folder of the copy, whose name begins with a dot.
        beat: called often while something is unpacked: a sign of life.

    Raises:
        UserError: the archive is damaged, no longer has the member, or the member is larger than what is listed or
            than what is free in ``scratch``.
        OSError: the machine is at its end, see `fault_of_machine`.
    """
    if source.member is None:
        yield source.path
        return
    free = shutil.disk_usage(scratch).free
    if source.size > free:
        raise UserError(
            f"{source.path} promises {source.size} bytes for {shown(source.member)}, and the output's disk has room "
            f"for {free}; unpack it elsewhere"
        )
    # With a dot, so that what a killed process leaves behind is known.
    handle, name = tempfile.mkstemp(PurePosixPath(source.member).suffix.lower(), ".unpacked-", scratch)
    try:
        with os.fdopen(handle, "wb") as target:
            _unpack(source.path, source.member, source.size, target, beat)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


class _Checked(tarfile.TarInfo):
    """Raises over a damaged header, where `tarfile` takes it for the end of the archive, and over hostile sizes."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> "_Checked":
        info = super().frombuf(buf, encoding, errors)
        # `tarfile` reads the content of such a header at once.
        if info.size < 0 or (info.type in EXTENDED and info.size > MOST_NAME):
            raise tarfile.ReadError(f"a header promises {info.size} bytes")
        return info

    @classmethod
    def fromtarfile(cls, tar: tarfile.TarFile) -> "_Checked":
        try:
            info = super().fromtarfile(tar)
            # The size that counts may stand in an extended header; below 0 it would lead round for ever.
            if info.size < 0 or tar.offset < info.offset_data:
                raise tarfile.ReadError(f"a header promises {info.size} bytes")
            return info
        except (tarfile.InvalidHeaderError, tarfile.TruncatedHeaderError) as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError(str(error)) from error


class _Watched(io.FileIO):
    """A file that gives a sign of life whenever it is read: skipping one large member of a ``.tar.gz`` takes long."""

    def __init__(self, path: Path, beat: Callable[[], None]) -> None:
        super().__init__(path)
        self._beat = beat

    def readinto(self, buffer: Any) -> int | None:
        self._beat()
        return super().readinto(buffer)


def _unpack(archive: Path, member: str, size: int, target: IO[bytes], beat: Callable[[], None]) -> None:
    try:
        with io.BufferedReader(_Watched(archive, beat), BLOCK) as file:
            if archive.name.lower().endswith(".zip"):
                with zipfile.ZipFile(file) as packed, packed.open(member) as content:
                    copied = _copy(content, target, size, beat)
            else:
                with tarfile.open(fileobj=file, tarinfo=_Checked) as tar, _found(tar, member, beat) as content:
                    copied = _copy(content, target, size, beat)
    except KeyError as error:
        raise UserError(f"{archive} no longer holds {shown(member)}; start again with a new output") from error
    except DAMAGE as error:
        raise _damaged(archive, error, member) from error
    if copied != size:
        raise UserError(f"{archive} is damaged: {shown(member)} is not of the size that is listed; copy it again")


def _found(tar: tarfile.TarFile, member: str, beat: Callable[[], None]) -> IO[bytes]:
    # On the way through, not by name afterwards: a compressed tar cannot go back.
    for info in tar:
        beat()
        if info.name == member and (content := tar.extractfile(info)):
            return content
    raise KeyError(member)


def _copy(file: Any, target: IO[bytes], size: int, beat: Callable[[], None]) -> int:
    """Bytes copied; one byte more than ``size`` at most, so that a lie about the size is found and goes no further."""
    copied = 0
    while block := file.read(min(BLOCK, size + 1 - copied)):
        beat()
        target.write(block)
        copied += len(block)
    return copied


def _damaged(archive: Path, error: Exception, member: str | None = None) -> UserError:
    if fault_of_machine(error):
        raise error
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
