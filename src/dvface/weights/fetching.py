"""Downloads of pretrained files: over https alone, checked before a file gets its name."""

import hashlib
from collections.abc import Callable
from http.client import HTTPException, HTTPMessage
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, Request, build_opener

from dvface.errors import UserError
from dvface.files import whole_file
from dvface.weights.lookup import Form

BLOCK = 1 << 18
Answer = TypeVar("Answer")
SILENCE_SECONDS = 60.0
"""A server that sends nothing for so long is given up."""


class Response(Protocol):
    """What a server answers, as `urllib.request` gives it."""

    headers: Any

    def read(self, amount: int) -> bytes:
        """At most so many further bytes; none at the end."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


def check_address(address: str) -> None:
    """Refuse whatever is not https: what comes over anything else may have been changed on its way.

    Raises:
        UserError: the scheme is another, or there is no host.
    """
    parts = urlsplit(address)
    if parts.scheme != "https" or not parts.hostname:
        raise UserError(f"{address} is no https address, and weights are fetched over https alone; fetch it by hand")


class SecureRedirects(HTTPRedirectHandler):
    """Follows a server to other https addresses and to nothing else."""

    def redirect_request(
        self, req: Request, fp: IO[bytes], code: int, msg: str, headers: HTTPMessage, newurl: str
    ) -> Request | None:
        """See `check_address`."""
        check_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def open_address(address: str) -> Response:
    """The answer to a GET request; redirections are followed to https only."""
    request = Request(address, headers={"User-Agent": "dvface"})  # noqa: S310 - `fetch` checked the scheme
    response: Response = build_opener(SecureRedirects).open(request, timeout=SILENCE_SECONDS)
    return response


def fetch(
    address: str,
    target: Path,
    form: Form,
    advance: Callable[[int], None],
    open_address: Callable[[str], Response] = open_address,
) -> str:
    """Download a file; ``target`` appears, or is replaced, only when it is whole and as ``form`` says.

    Args:
        address: https.
        target: where it goes; its folder is made.
        form: what it must be, as far as that is known.
        advance: is told how many bytes arrived.
        open_address: opens a connection; raises OSError or HTTPException where it cannot.

    Returns:
        The file's SHA-256.

    Raises:
        UserError: the address is not https, the server cannot be reached, breaks off or sends another file.
    """
    check_address(address)
    digest, size = hashlib.sha256(), 0
    with whole_file(target) as temporary, temporary.open("wb") as file:
        response = _reached(address, lambda: open_address(address))
        try:
            announced = response.headers.get("Content-Length")
            while block := _reached(address, lambda: response.read(BLOCK)):
                # a full disk is no fault of the server: the error passes as it is
                file.write(block)
                digest.update(block)
                size += len(block)
                advance(len(block))
        finally:
            response.close()
        if announced is not None and announced.isdecimal() and size != int(announced):
            raise UserError(f"{address} broke off after {size} of {announced} bytes; fetch it again")
        fault = form.fault(size, digest.hexdigest())
        if fault:
            raise UserError(f"what {address} sends {fault}, so it was not kept; report it, or get the file elsewhere")
    return digest.hexdigest()


def _reached(address: str, ask: Callable[[], Answer]) -> Answer:
    try:
        return ask()
    except (OSError, HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise UserError(f"{address} cannot be fetched ({reason}); check the connection and try again") from error
