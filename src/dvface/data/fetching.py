"""Remote files, read once from their beginning, with patience for what passes."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from dvface.data.addresses import WEB, check_address, scheme_of, shown
from dvface.errors import UserError

STREAMED = (*WEB, "hf")
"""Where fsspec reads a file in one request when no block size is asked; elsewhere it reads block after block."""
PAUSES = (1.0, 4.0, 16.0)
"""Seconds before the second, third and fourth try."""
SILENCE = 60.0
"""Seconds without a single byte after which a connection is given up; a download as a whole may take any time."""
BLOCK = 1 << 20

Result = TypeVar("Result")


class Fault(Exception):
    """Why an address cannot be read, as a clause.

    Attributes:
        passing: whether another try may succeed.
    """

    def __init__(self, reason: str, passing: bool) -> None:
        super().__init__(reason)
        self.passing = passing


def read_remote_text(address: str, pauses: Sequence[float] = PAUSES) -> str:
    """A remote file's content as UTF-8 text, which must fit into memory.

    Args:
        address: a URL.
        pauses: seconds to wait before each further try.

    Raises:
        UserError: see `check_address`; or it cannot be read, with the reason, or is no text.
    """

    def read() -> bytes:
        return b"".join(RemoteFile(address).blocks())

    try:
        return persist(read, pauses).decode()
    except Fault as fault:
        raise UserError(
            f"{shown(address)} cannot be read: {fault}; check the address, the network and your credentials"
        ) from fault
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(address)} is no text ({error.reason}); check the address") from error


class RemoteFile:
    """A remote file to be read once, from its beginning, over a file system of its own.

    fsspec would keep file systems for later, and what is kept does not survive a fork.

    Attributes:
        size: in bytes, None where it is not told.
    """

    def __init__(self, address: str) -> None:
        from fsspec.core import url_to_fs

        check_address(address)
        self.address = address
        self.scheme = scheme_of(address)
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


def _web_options() -> dict[str, object]:
    from aiohttp import ClientTimeout

    # By default aiohttp ends every download after five minutes, and passes by the proxy of the environment.
    timeout = ClientTimeout(total=None, sock_connect=SILENCE, sock_read=SILENCE)
    # No connection outlives its request, so that processes that are forked later share none.
    return {"client_kwargs": {"timeout": timeout, "trust_env": True}, "headers": {"Connection": "close"}}


def persist(action: Callable[[], Result], pauses: Sequence[float]) -> Result:
    """The action's result, tried again after each pause while its fault is a passing one."""
    for pause in pauses:
        try:
            return action()
        except Fault as fault:
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


def _fault(error: BaseException, address: str) -> Fault:
    if isinstance(error, FileNotFoundError) and error.__cause__ and scheme_of(address) in WEB:
        error = error.__cause__  # asked for a size, fsspec calls every trouble of the web a missing file
    status = _status(error)
    if status in (404, 410) or isinstance(error, FileNotFoundError):
        return Fault("there is no such file", passing=False)
    if status in (401, 403) or isinstance(error, PermissionError):
        return Fault("access is refused", passing=False)
    if status:
        return Fault(f"the server answers {status}", passing=status >= 500 or status in (408, 425, 429))
    if isinstance(error, TimeoutError):
        return Fault("there is no answer in time", passing=True)
    text = (str(error).splitlines() or [""])[0].replace(address, shown(address))
    return Fault(text or type(error).__name__, passing=not isinstance(error, ValueError))


def _status(error: BaseException) -> int | None:
    """The web status of an error, wherever the client libraries put it."""
    candidates = (
        getattr(error, "status", None),
        getattr(getattr(error, "response", None), "status_code", None),
        getattr(error, "code", None),
    )
    return next((one for one in candidates if isinstance(one, int) and one >= 400), None)
