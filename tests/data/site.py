"""A web server on this machine, with the troubles that real ones make."""

import hashlib
import multiprocessing
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dvface.data.remote import ShardCache
from dvface.data.shards import Shard

AT_ONCE = (0.0, 0.0, 0.0)
"""Pauses before further tries of a download: none."""
KILOBYTE = 1e-6
"""In gigabytes."""
PATIENCE = 120.0
"""Seconds after which something will not happen any more, however busy the machine is."""
FORK = multiprocessing.get_context("fork")


@dataclass
class Site:
    """A web server's files, the trouble that it makes, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    troubles: dict[str, list[Any]] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)
    together: int = 0
    most_together: int = 0
    connections: int = 0
    may_answer: Callable[[], bool] = lambda: True
    """Content is held back until this says so, or `PATIENCE` is over."""
    address: str = ""
    tells_size: bool = True
    lock: threading.Lock = field(default_factory=threading.Lock)


def wait_for(happened: Callable[[], bool]) -> bool:
    """Whether it happens before `PATIENCE` is over."""
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.005)
    return True


class Handler(BaseHTTPRequestHandler):
    """Answers as the site says."""

    protocol_version = "HTTP/1.1"  # connections are kept, as real servers keep them
    server: "Server"

    def setup(self) -> None:
        super().setup()
        with self.server.site.lock:
            self.server.site.connections += 1

    def finish(self) -> None:
        super().finish()
        with self.server.site.lock:
            self.server.site.connections -= 1

    def do_HEAD(self) -> None:
        self.answer(with_content=False)

    def do_GET(self) -> None:
        self.answer(with_content=True)

    def answer(self, with_content: bool) -> None:
        site = self.server.site
        path = self.path.partition("?")[0]
        content = site.files.get(path)
        status = 404 if content is None else 200
        trouble = site.troubles[path][0] if site.troubles.get(path) else None
        if isinstance(trouble, int):
            status, content = trouble, b""
        if trouble and with_content:
            site.troubles[path].pop(0)
        content = content or b""
        if with_content:
            site.downloads.append(path)
        self.send_response(status)
        if site.tells_size or status != 200:
            self.send_header("Content-Length", str(len(content)))
        else:
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        if not with_content:
            return
        with site.lock:
            site.together += 1
            site.most_together = max(site.most_together, site.together)
        wait_for(site.may_answer)
        with site.lock:
            site.together -= 1
        if trouble == "cut":
            self.wfile.write(content[: len(content) // 2])
            self.close_connection = True
            self.wfile.flush()
            self.connection.shutdown(2)
        else:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the tests' output clean."""


class Server(ThreadingHTTPServer):
    """One thread a connection."""

    site: Site
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no news."""


def shard(site: Site, name: str, content: bytes) -> Shard:
    """A shard that the server has."""
    site.files[f"/{name}"] = content
    return Shard(f"{site.address}/{name}", hashlib.sha256(content).hexdigest(), ())


def content(cache: ShardCache, one: Shard) -> bytes:
    """A shard's bytes by way of the cache."""
    with cache.open(one) as file:
        return file.read()


def kept(folder: Path) -> int:
    """Bytes that the cache takes, half-written files and all."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def finish(processes: list[Any]) -> list[int | None]:
    """Start all, wait for all; their exit codes."""
    for process in processes:
        process.start()
    for process in processes:
        process.join(PATIENCE)
    return [process.exitcode for process in processes]


def names(folder: Path) -> set[str]:
    """Of the files there."""
    return {path.name for path in folder.iterdir() if path.is_file()}
