"""A cache of bounded size for shards that lie elsewhere."""

import hashlib
import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from math import inf
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from dvface.data.addresses import is_remote, local_path, shown
from dvface.data.fetching import PAUSES, Fault, RemoteFile, persist
from dvface.data.shards import Shard
from dvface.errors import UserError, fault_of_machine
from dvface.files import whole_file

WAIT = 0.2
"""Seconds between two looks at whether other downloads have left room."""
REST = 120.0
"""Seconds for which a shard is not asked for again after all tries have failed in a way that may pass."""
LOCKS = "locks"
ROOM = "room"
CACHED = re.compile(r"(\.?)([0-9a-f]{64})(?:-.*)?\.tar")
"""A shard in the cache, or, with a dot and a tail as `whole_file` names it, one on its way there."""


class ShardUnavailable(ValueError):
    """A shard that cannot be had, in one sentence; a stream may go on without it."""


class ShardCache:
    """Gives every shard as a file on this machine.

    Loader workers and training processes may share one folder: a shard is downloaded once, under its SHA-256 as
    name, and is there only when whole and right. Shards and downloads together stay within the bound, unless a
    server does not tell a size beforehand; then they do once the download is over. A file that is being read stays
    readable when its name goes. A shard that is wrong or gone is asked for once by each process, not again; one whose
    server is down, again after `REST`, so that not each of its clips waits through all pauses.

    Args:
        folder: where downloaded shards are kept; ``~`` is the home folder.
        gigabytes: how much they may take together, in 10⁹ bytes; what was used longest ago goes first.
        pauses: seconds to wait before each further try of a download.
        clock: tells seconds that only grow.
    """

    def __init__(
        self,
        folder: str,
        gigabytes: float,
        pauses: Sequence[float] = PAUSES,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not gigabytes > 0:
            raise ValueError(f"gigabytes must be above 0, got {gigabytes}")
        self.folder = Path(folder).expanduser()
        self.gigabytes = gigabytes
        self.pauses = tuple(pauses)
        self.clock = clock
        self._lost: dict[str, tuple[str, float]] = {}

    def local(self, shard: Shard) -> Path:
        """The shard's path on this machine; another process may evict it at any time, so `open` is safer.

        Raises:
            ShardUnavailable: see `open`.
            UserError: see `open`.
        """
        self.open(shard).close()
        return self._path(shard) if is_remote(shard.address) else local_path(shard.address)

    def open(self, shard: Shard) -> BinaryIO:
        """The shard, open for reading, downloaded where it is not here yet.

        Raises:
            ShardUnavailable: it is not there, cannot be fetched, or differs from what the manifest says.
            UserError: the address cannot be used, the cache is too small for the shard, or this machine is at fault.
        """
        if not is_remote(shard.address):
            return _open_local(local_path(shard.address))
        message, until = self._lost.get(shard.sha256, ("", -inf))
        if self.clock() < until:
            raise ShardUnavailable(message)
        path = self._path(shard)
        try:
            return _open_used(path) or self._fetch(shard, path)
        except OSError as error:  # of this machine: what other machines raise is a Fault by now
            raise UserError(
                f"shard {shown(shard.address)} cannot be kept in {self.folder} ({error.strerror or error}); free room "
                f"there, lower data.cache.gigabytes={self.gigabytes:g}, or choose another data.cache.folder"
            ) from error

    def _path(self, shard: Shard) -> Path:
        path = self.folder / f"{shard.sha256}.tar"
        if not CACHED.fullmatch(path.name):
            raise UserError(
                f"the manifest gives {shard.sha256!r} as SHA-256 of {shown(shard.address)}, which is none; "
                "write the data set again"
            )
        return path

    def _fetch(self, shard: Shard, path: Path) -> BinaryIO:
        (self.folder / LOCKS).mkdir(parents=True, exist_ok=True)
        with self._lock(path):
            found = _open_used(path)  # by now another process may have it
            if found:
                return found
            try:
                return persist(lambda: self._download(shard, path), self.pauses)
            except Fault as fault:
                message = f"shard {shown(shard.address)} cannot be had: {fault}"
                self._lost[shard.sha256] = message, self.clock() + REST if fault.passing else inf
                raise ShardUnavailable(message) from fault

    def _download(self, shard: Shard, path: Path) -> BinaryIO:
        digest = hashlib.sha256()
        written = 0
        remote = RemoteFile(shard.address)
        with whole_file(path) as temporary:
            self._reserve(temporary, remote.size or 0, shard)
            with temporary.open("r+b") as file:
                for block in remote.blocks():
                    written += len(block)
                    self._check_size(written, shard)
                    file.write(block)
                    digest.update(block)
                file.truncate()
                file.flush()
                os.fsync(file.fileno())  # a power cut must not leave the name without the content
            if written < (remote.size or 0):
                raise Fault(f"the connection ended after {written} of {remote.size} bytes", passing=True)
            if digest.hexdigest() != shard.sha256:
                raise Fault("its SHA-256 is not what the manifest says", passing=False)
            with self._lock(self.folder / ROOM):
                self._make_room(written, temporary)
            return temporary.open("rb")  # now, since nobody can evict it before it has its name

    def _check_size(self, size: int, shard: Shard) -> None:
        if size > self.gigabytes * 1e9:
            raise UserError(
                f"data.cache.gigabytes={self.gigabytes:g} is less than shard {shown(shard.address)} takes, at least "
                f"{size / 1e9:.3g}; raise it"
            )

    def _reserve(self, temporary: Path, size: int, shard: Shard) -> None:
        """Give the file its size before its content, so that other processes count it; wait while there is no room."""
        self._check_size(size, shard)
        while True:
            with self._lock(self.folder / ROOM):
                if self._make_room(size, temporary):
                    os.truncate(temporary, size)
                    return
            time.sleep(WAIT)

    def _make_room(self, size: int, own: Path) -> bool:
        """Evict until ``size`` bytes for the file ``own`` fit; False where the downloads of others take too much."""
        kept = {}
        for path in self.folder.iterdir():
            match = CACHED.fullmatch(path.name)
            if path == own or match is None:  # the folder may hold what is not ours
                continue
            with suppress(FileNotFoundError):  # another process's download has just ended
                if match[1] and self._is_abandoned(path, own):
                    path.unlink()
                else:
                    kept[path] = path.stat()
        total = sum(status.st_size for status in kept.values()) + size
        shards = [path for path in kept if not path.name.startswith(".")]
        for path in sorted(shards, key=lambda path: kept[path].st_mtime_ns):
            if total <= self.gigabytes * 1e9:
                break
            path.unlink(missing_ok=True)
            total -= kept[path].st_size
        return total <= self.gigabytes * 1e9

    def _is_abandoned(self, temporary: Path, own: Path) -> bool:
        """Whether the process that was downloading a file is gone: the system has then freed its lock."""
        lock = self._lock(temporary)
        if lock.lock_file == self._lock(own).lock_file:
            return True  # this process has the lock, and is busy with another file
        try:
            with lock.acquire(timeout=0):
                return True
        except Timeout:
            return False

    def _lock(self, path: Path) -> FileLock:
        """The lock of a shard; some share one, since locks stay on the disk for ever."""
        return FileLock(self.folder / LOCKS / f"{path.name.removeprefix('.')[:3]}.lock")


def unreadable(address: str, error: OSError) -> UserError | ShardUnavailable:
    """What to raise of a shard that the operating system does not give.

    Args:
        address: of the shard.
        error: what the system said.

    Returns:
        A `UserError` where this machine is at its end, which no other clip would mend, else `ShardUnavailable`.
    """
    reason = error.strerror or str(error)
    if fault_of_machine(error):
        return UserError(f"shard {shown(address)} cannot be read ({reason}); mend the machine, then go on")
    return ShardUnavailable(f"shard {shown(address)} cannot be had: {reason}")


def _open_local(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        raise unreadable(str(path), error) from error


def _open_used(path: Path) -> BinaryIO | None:
    """A shard of the cache, noted as used just now; None where it is not there."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    os.utime(file.fileno())
    return file
