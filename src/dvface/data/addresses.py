"""Addresses of data sets: paths, and the URLs that may be read."""

import importlib.util
import os
import re
from pathlib import Path
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from dvface.errors import UserError, nearest

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
SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")


def is_remote(address: str) -> bool:
    """Whether an address is a URL of something that is not on this machine's disks."""
    scheme = scheme_of(address)
    # Path("s3://bucket") is "s3:/bucket": taken for remote here, so that `check_address` can tell.
    return scheme not in ("", *HERE) and ("://" in address or scheme in (*SCHEMES, "pipe"))


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
    scheme = scheme_of(address)
    if scheme == "pipe":
        raise UserError(f"{address}: a pipe would run a shell command, which no address may do; give a folder or a URL")
    if scheme not in SCHEMES:
        known = ", ".join(f"{one}://" for one in SCHEMES)
        raise UserError(f"{shown(address)}: {scheme}:// is not known{nearest(scheme, SCHEMES)} (one of: {known})")
    if not address.startswith("://", len(scheme)) or "::" in address:
        raise UserError(f"{shown(address)} is no URL that can be read; write {scheme}://PLACE/FOLDER")
    if importlib.util.find_spec(SCHEMES[scheme]) is None:
        raise UserError(
            f"{shown(address)}: {scheme}:// needs the package {SCHEMES[scheme]}; pip install 'dvface[remote]'"
        )


def local_path(address: str) -> Path:
    """The path that an address on this machine means: a plain path as it is, ``file:///a%20b`` as ``/a b``."""
    return Path(url2pathname(urlsplit(address).path) if scheme_of(address) in HERE else address)


def join(folder: str, name: str) -> str:
    """The address of a file in a folder, which may be a path or a URL.

    A query, as signed web addresses have it, stays at the end.

    Args:
        folder: the folder's address.
        name: the file's path within the folder, ``/`` between its parts. It may come from elsewhere.

    Raises:
        UserError: the name would lead out of the folder.
    """
    if not name.isprintable() or {"..", ""} & set(re.split(r"[/\\]", name)) or scheme_of(name) or "::" in name:
        raise UserError(f"{shown(folder)} lists {name!r}, which does not lie within it; list files by relative paths")
    if not is_remote(folder):
        return f"{folder.rstrip('/')}/{quote(name)}" if scheme_of(folder) in HERE else os.path.join(folder, name)
    if scheme_of(folder) in WEB:
        place, mark, query = folder.partition("?")
        return f"{place.rstrip('/')}/{quote(name)}{mark}{query}"
    return f"{folder.rstrip('/')}/{name}"


def scheme_of(address: str) -> str:
    """What comes before the first colon, in small letters, if it may be a URL's scheme; otherwise nothing."""
    match = SCHEME.match(address)
    return match[1].lower() if match else ""


def shown(address: str) -> str:
    """The address without what may be secret: the query, which may be a signature, and a password."""
    return re.sub(r"^(\w+://)[^/@]*@", r"\1", address.partition("?")[0]) if is_remote(address) else address
