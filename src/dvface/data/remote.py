"""Shards that lie elsewhere: addresses that fsspec understands, and a cache of bounded size on this machine."""

import gc
import hashlib
import importlib.util
import os
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, TypeVar
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from filelock import FileLock, Timeout

from dvface.data.shards import Shard
from dvface.errors import UserError, fault_of_machine, nearest
from dvface.files import whole_file

SCHEMES = {
    "http": "aiohttp",
    "https": "aiohttp",
    "hf": "huggingface_hub",
    "s3": "s3fs",
    "gs": "gcsfs",
    "memory": "fsspec",
}
"""What a remote address may begin with, and the package that it needs."""
HERE = ("file", "local")
WEB = ("http", "https")
STREAMED = (*WEB, "hf")
"""Where fsspec reads a file in one request when no block size is asked; elsewhere it reads block after block."""

PAUSES = (1.0, 4.0, 16.0)
"""Seconds before the second, third and fourth try."""
SILENCE = 60.0
"""Seconds without a single byte after which a connection is given up; a download as a whole may take any time."""
BLOCK = 1 << 20
WAIT = 0.2
"""Seconds between two looks at whether other downloads have left room."""
LOCKS = "locks"
ROOM = "room"
CACHED = re.compile(r"(\.?)([0-9a-f]{64})(?:-.*)?\.tar")
"""A shard in the cache, or, with a dot and a tail as `whole_file` names it, one on its way there."""
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):(/*)")

Result = TypeVar("Result")


class ShardUnavailable(ValueError):
    """A shard that cannot be had, in one sentence; a stream may go on without it."""


class _Fault(Exception):
    """Why an address cannot be read, as a clause.

    Attributes:
        passing: whether another try may succeed.
    """

    def __init__(self, reason: str, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


def is_remote(address: str) -> bool:
    """Whether an address is a URL of something that is not on this machine's disks."""
    match = SCHEME.match(address)
    if match is None or match[1].lower() in HERE:
        return False
    # Path("s3://bucket") is "s3:/bucket": taken for remote here, so that `check_address` can tell.
    return match[2].startswith("//") or match[1].lower() in (*SCHEMES, "pipe")


def check_address(address: str) -> None:
    """Refuse an address that cannot be used, before anything is read; paths are not looked at.

    Raises:
        UserError: it would run a command, has a scheme that is not known, or needs a package that is not installed.
    """
    if not is_remote(address):
        host = urlsplit(address).netloc if address.startswith("file://") else ""
        if host not in ("", "localhost"):
            raise UserError(f"{address}: {host} would be a computer's name; write file:///FOLDER, or the plain path")
        return
    scheme, _, rest = address.partition(":")
    scheme = scheme.lower()
    if scheme == "pipe":
        raise UserError(f"{address}: a pipe would run a shell command, which no address may do; give a folder or a URL")
    if scheme not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise UserError(f"{_shown(address)}: {scheme}:// is not known{nearest(scheme, SCHEMES)} (one of: {known})")
    if not rest.startswith("//") or "::" in rest:
        raise UserError(f"{_shown(address)} is no URL that can be read; write {scheme}://PLACE/FOLDER")
    if importlib.util.find_spec(SCHEMES[scheme]) is None:
        raise UserError(
            f"{_shown(address)}: {scheme}:// needs the package {SCHEMES[scheme]}; pip install 'dvface[remote]'"
        )


def local_path(address: str) -> Path:
    """The path that an address on this machine means: a plain path as it is, ``file:///a%20b`` as ``/a b``."""
    match = SCHEME.match(address)
    if match is None or match[1].lower() not in HERE:
        return Path(address)
    return Path(url2pathname(urlsplit(address).path))


def join(folder: str, name: str) -> str:
    """The address of a file in a folder, which may be a path or a URL.

    A query, as signed web addresses have it, stays at the end.

    Args:
        folder: the folder's address.
        name: the file's path within the folder, ``/`` between its parts. It may come from elsewhere.

    Raises:
        UserError: the name would lead out of the folder.
    """
    if not name.isprintable() or {"..", ""} & set(re.split(r"[/\\]", name)) or SCHEME.match(name) or "::" in name:
        raise UserError(f"{_shown(folder)} lists {name!r}, which does not lie within it; list files by relative paths")
    if not is_remote(folder):
        within = quote(name) if SCHEME.match(folder) else name
        return f"{folder.rstrip('/') or folder[:1]}/{within}".replace("//", "/", folder == "/")
    if folder.lower().startswith(tuple(f"{scheme}:" for scheme in WEB)):
        place, mark, query = folder.partition("?")
        return f"{place.rstrip('/')}/{quote(name)}{mark}{query}"
    return f"{folder.rstrip('/')}/{name}"


def read_remote_text(address: str, pauses: Sequence[float] = PAUSES) -> str:
    """A remote file's content as UTF-8 text, which must fit into memory.

    Args:
        address: a URL.
        pauses: seconds to wait before each further try.

    Raises:
        UserError: see `check_address`; or it cannot be read, with the reason, or is no text.
    """

    def read() -> bytes:
        with _remote(address) as remote:
            return b"".join(remote.blocks())

    try:
        return _persist(read, pauses).decode()
    except _Fault as fault:
        raise UserError(
            f"{_shown(address)} cannot be read: {fault}; check the address, the network and your credentials"
        ) from fault
    except UnicodeDecodeError as error:
        raise UserError(f"{_shown(address)} is no text ({error.reason}); check the address") from error


class ShardCache:
    """Gives every shard as a file on this machine.

    Loader workers and training processes may share one folder: a shard is downloaded once, under its SHA-256 as
    name, and is there only when whole and right. Shards and downloads together stay within the bound, unless a
    server does not tell a size beforehand; then they do once the download is over. A file that is being read stays
    readable when its name goes. A shard that is wrong or gone is asked for once by each process, not again.

    Args:
        folder: where downloaded shards are kept; ``~`` is the home folder.
        gigabytes: how much they may take together, in 10⁹ bytes; what was used longest ago goes first.
        pauses: seconds to wait before each further try of a download.
    """

    def __init__(self, folder: str, gigabytes: float, pauses: Sequence[float] = PAUSES) -> None:
        if not gigabytes > 0:
            raise ValueError(f"gigabytes must be above 0, got {gigabytes}")
        self.folder = Path(folder).expanduser()
        self.gigabytes = gigabytes
        self.pauses = tuple(pauses)
        self._lost: dict[str, str] = {}

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
        if shard.sha256 in self._lost:
            raise ShardUnavailable(self._lost[shard.sha256])
        path = self._path(shard)
        try:
            return _open_used(path) or self._fetch(shard, path)
        except OSError as error:  # of this machine: what other machines raise is a _Fault by now
            raise UserError(
                f"shard {_shown(shard.address)} cannot be kept in {self.folder} ({error.strerror or error}); free room "
                f"there, lower data.cache.gigabytes={self.gigabytes:g}, or choose another data.cache.folder"
            ) from error

    def _path(self, shard: Shard) -> Path:
        path = self.folder / f"{shard.sha256}.tar"
        if not CACHED.fullmatch(path.name):
            raise UserError(
                f"the manifest gives {shard.sha256!r} as SHA-256 of {_shown(shard.address)}, which is none; "
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
                return _persist(lambda: self._download(shard, path), self.pauses)
            except _Fault as fault:
                message = f"shard {_shown(shard.address)} cannot be had: {fault}"
                if not fault.passing:
                    self._lost[shard.sha256] = message
                raise ShardUnavailable(message) from fault

    def _download(self, shard: Shard, path: Path) -> BinaryIO:
        digest = hashlib.sha256()
        written = 0
        with whole_file(path) as temporary, _remote(shard.address) as remote:
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
                raise _Fault(f"the connection ended after {written} of {remote.size} bytes", passing=True)
            if digest.hexdigest() != shard.sha256:
                raise _Fault("its SHA-256 is not what the manifest says", passing=False)
            with self._lock(self.folder / ROOM):
                self._make_room(written, temporary)
            return temporary.open("rb")  # now, since nobody can evict it before it has its name

    def _check_size(self, size: int, shard: Shard) -> None:
        if size > self.gigabytes * 1e9:
            raise UserError(
                f"data.cache.gigabytes={self.gigabytes:g} is less than shard {_shown(shard.address)} takes, at least "
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


class _RemoteFile:
    """A remote file to be read once, from its beginning.

    Attributes:
        size: in bytes, None where it is not told.
    """

    def __init__(self, address: str) -> None:
        from fsspec.core import url_to_fs

        self.address = address
        self.scheme = address.partition(":")[0].lower()
        options = _web_options() if self.scheme in WEB else {}
        with _faults(address):
            self.file_system, self.path = url_to_fs(address, skip_instance_cache=True, **options)
            self.size: int | None = self.file_system.info(self.path).get("size")

    def blocks(self) -> Iterator[bytes]:
        """The content, piece by piece."""
        how = {"block_size": 0} if self.scheme in STREAMED else {}
        with _faults(self.address):
            file = self.file_system.open(self.path, "rb", **how)
        with file:
            while True:
                with _faults(self.address):
                    block = file.read(BLOCK)
                if not block:
                    return
                yield block

    def close(self) -> None:
        """End the connections, so that no process that is forked later shares them."""
        del self.file_system
        gc.collect()  # fsspec's file systems refer to themselves, and close their connections when they are collected


@contextmanager
def _remote(address: str) -> Iterator[_RemoteFile]:
    check_address(address)
    remote = _RemoteFile(address)
    try:
        yield remote
    finally:
        remote.close()


def _web_options() -> dict[str, object]:
    from aiohttp import ClientTimeout

    # By default aiohttp ends every download after five minutes, and passes by the proxy of the environment.
    timeout = ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}}


def _persist(action: Callable[[], Result], pauses: Sequence[float]) -> Result:
    """The action's result, tried again after each pause while its fault is a passing one."""
    for pause in pauses:
        try:
            return action()
        except _Fault as fault:
            if not fault.passing:
                raise
        time.sleep(pause)
    return action()


@contextmanager
def _faults(address: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # each file system of fsspec raises what its own client library does
        raise _fault(error, address) from error


def _fault(error: BaseException, address: str) -> _Fault:
    if isinstance(error, FileNotFoundError) and error.__cause__ and address.lower().startswith(WEB):
        error = error.__cause__  # asked for a size, fsspec calls every trouble of the web a missing file
    status = _status(error)
    if status in (404, 410) or isinstance(error, FileNotFoundError):
        return _Fault("there is no such file", passing=False)
    if status in (401, 403) or isinstance(error, PermissionError):
        return _Fault("access is refused", passing=False)
    if status:
        return _Fault(f"the server answers {status}", passing=status >= 500 or status in (408, 425, 429))
    if isinstance(error, TimeoutError):
        return _Fault("there is no answer in time", passing=True)
    text = (str(error).splitlines() or [""])[0].replace(address, _shown(address))
    return _Fault(text or type(error).__name__, passing=not isinstance(error, ValueError))


def _status(error: BaseException) -> int | None:
    """The web status of an error, wherever the client libraries put it."""
    candidates = (
        getattr(error, "status", None),
        getattr(getattr(error, "response", None), "status_code", None),
        getattr(error, "code", None),
    )
    return next((one for one in candidates if isinstance(one, int) and one >= 400), None)


def _shown(address: str) -> str:
    """The address without what may be secret: the query, which may be a signature, and a password."""
    return re.sub(r"^([a-z]+://)[^/@]*@", r"\1", address.partition("?")[0]) if is_remote(address) else address


def _open_local(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as error:
        if fault_of_machine(error):
            raise UserError(f"shard {path} cannot be read ({error.strerror}); mend the machine, then go on") from error
        raise ShardUnavailable(f"shard {path} cannot be had: {error.strerror}") from error


def _open_used(path: Path) -> BinaryIO | None:
    """A shard of the cache, noted as used just now; None where it is not there."""
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    os.utime(file.fileno())
    return file
