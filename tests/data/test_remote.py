import hashlib
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import fsspec
import pytest
from torch.utils.data import DataLoader, Dataset

from dvface.data.addresses import check_address, is_remote, join, local_path
from dvface.data.fetching import read_remote_text
from dvface.data.remote import REST, ShardCache, ShardUnavailable
from dvface.data.shards import Shard
from dvface.errors import UserError

AT_ONCE = (0.0, 0.0, 0.0)
KILOBYTE = 1e-6
"""In gigabytes."""


@dataclass
class Site:
    """A web server's files, the trouble that it makes, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    troubles: dict[str, list[Any]] = field(default_factory=dict)
    downloads: list[str] = field(default_factory=list)
    together: int = 0
    most_together: int = 0
    connections: int = 0
    seconds: float = 0.0
    address: str = ""
    tells_size: bool = True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as real servers keep them
    server: "Server"

    def setup(self) -> None:
        super().setup()
        self.server.site.connections += 1

    def finish(self) -> None:
        super().finish()
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
        site.together += 1
        site.most_together = max(site.most_together, site.together)
        time.sleep(site.seconds)
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
    site: Site
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        """A client that goes away is no news."""


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server = Server(("127.0.0.1", 0), Handler)
    server.site = Site(address=f"http://127.0.0.1:{server.server_address[1]}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server.site
    server.shutdown()
    thread.join()
    server.server_close()


def shard(site: Site, name: str, content: bytes) -> Shard:
    """A shard that the server has."""
    site.files[f"/{name}"] = content
    return Shard(f"{site.address}/{name}", hashlib.sha256(content).hexdigest(), ())


def content(cache: ShardCache, one: Shard) -> bytes:
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
        process.join(60)
    return [process.exitcode for process in processes]


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    ("address", "remote"),
    [
        ("s3://bucket/set", True),
        ("HTTPS://host/set", True),
        ("memory://set", True),
        ("pipe:cat set", True),
        ("s3:/bucket/set", True),
        ("file:///data/set", False),
        ("/data/set", False),
        ("data/take:one", False),
        ("take:one", False),
        ("~/set", False),
    ],
)
def test_what_is_remote(address: str, remote: bool) -> None:
    assert is_remote(address) == remote


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("pipe:cat set.tar", "would run a shell command"),
        ("PIPE:cat set.tar", "would run a shell command"),
        ("pipe://cat set.tar", "would run a shell command"),
        ("htps://host/set", r"htps:// is not known; did you mean 'https'\?"),
        ("ftp://host/set", "ftp:// is not known"),
        ("s3:/bucket/set", "write s3://PLACE/FOLDER"),
        ("memory://set::pipe", "no URL"),
        ("simplecache::http://host/set", "is not known"),
        ("file://data/set", "data would be a computer's name"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(address: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=words):
        check_address(address)
    if is_remote(address):
        with pytest.raises(UserError, match=words):
            read_remote_text(address)
        with pytest.raises(UserError, match=words):
            ShardCache(str(tmp_path), 1).open(Shard(address, "0" * 64, ()))


@pytest.mark.parametrize("address", ["/data/set", "~/set", "file:///data/set", "http://host/set", "hf://datasets/a/b"])
def test_usable_addresses_pass(address: str) -> None:
    check_address(address)


@pytest.mark.parametrize(("address", "package"), [("s3://bucket/set", "s3fs"), ("gs://bucket/set", "gcsfs")])
def test_a_missing_package_is_named(address: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not installed
    with pytest.raises(UserError, match=rf"needs the package {package}; pip install 'dvface\[remote\]'"):
        check_address(address)


@pytest.mark.parametrize(
    ("folder", "name", "joined"),
    [
        ("/data/set", "shard-00000.tar", "/data/set/shard-00000.tar"),
        ("/data/set/", "a/b.tar", "/data/set/a/b.tar"),
        ("/", "a.tar", "/a.tar"),
        ("data 100%", "a b.tar", "data 100%/a b.tar"),
        ("~/set", "a.tar", "~/set/a.tar"),
        ("file:///data", "a b.tar", "file:///data/a%20b.tar"),
        ("s3://bucket/set/", "a#b.tar", "s3://bucket/set/a#b.tar"),
        ("memory://set", "a.tar", "memory://set/a.tar"),
        ("http://host/set/", "a b%2F#?.tar", "http://host/set/a%20b%252F%23%3F.tar"),
        ("https://host/set?signature=a/b%3D", "a.tar", "https://host/set/a.tar?signature=a/b%3D"),
    ],
)
def test_folder_and_name_are_joined(folder: str, name: str, joined: str) -> None:
    assert join(folder, name) == joined


@pytest.mark.parametrize("folder", ["/data/set", "http://host/set", "s3://bucket/set", "file:///data"])
@pytest.mark.parametrize(
    "name",
    ["../a.tar", "a/../../b.tar", "..", "/etc/passwd", "", "pipe:cat x", "http://evil/a.tar", "a::b", "..\\a", "a\nb"],
)
def test_a_name_that_leads_out_of_the_folder_is_refused(folder: str, name: str) -> None:
    with pytest.raises(UserError, match="does not lie within it"):
        join(folder, name)


def test_file_addresses_are_paths(tmp_path: Path) -> None:
    path = tmp_path / "a b.tar"
    path.write_bytes(b"tar")
    one = Shard(path.as_uri(), hashlib.sha256(b"tar").hexdigest(), ())
    cache = ShardCache(str(tmp_path / "cache"), 1)
    assert cache.local(one) == local_path(path.as_uri()) == local_path(str(path)) == path
    assert content(cache, one) == b"tar"
    assert not cache.folder.exists()


def test_a_shard_missing_on_this_machine_is_unavailable(tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 1)
    with pytest.raises(ShardUnavailable, match=r"gone\.tar cannot be had"):
        cache.local(Shard(str(tmp_path / "gone.tar"), "0" * 64, ()))


def test_text_is_read_from_a_web_address_and_from_memory(site: Site) -> None:
    site.files["/set/manifest.jsonl"] = "{} ü\n".encode()
    assert read_remote_text(join(f"{site.address}/set?key=1", "manifest.jsonl")) == "{} ü\n"
    fsspec.filesystem("memory").pipe("/texts/manifest.jsonl", b"{}\n")
    assert read_remote_text("memory://texts/manifest.jsonl") == "{}\n"


@pytest.mark.parametrize(
    ("trouble", "words", "tries"),
    [
        (404, "there is no such file", 1),
        (403, "access is refused", 1),
        (400, "the server answers 400", 1),
        (503, "the server answers 503", 4),
    ],
)
def test_text_that_cannot_be_read_is_named_without_its_secrets(
    site: Site, trouble: int, words: str, tries: int
) -> None:
    site.troubles["/manifest.jsonl"] = [trouble] * 20
    with pytest.raises(UserError, match=f"/manifest.jsonl cannot be read: {words}; check") as caught:
        read_remote_text(f"{site.address}/manifest.jsonl?signature=secret", AT_ONCE)
    assert "secret" not in str(caught.value)
    assert len(site.downloads) == tries


def test_a_server_that_cannot_be_reached_is_named() -> None:
    with pytest.raises(UserError, match=r"127\.0\.0\.1:9/a\.txt cannot be read: .*[Cc]onnect"):
        read_remote_text("http://name:password@127.0.0.1:9/a.txt", AT_ONCE)
    with pytest.raises(UserError, match="memory://nothing cannot be read: there is no such file"):
        read_remote_text("memory://nothing", AT_ONCE)


def test_what_is_no_text_is_refused(site: Site) -> None:
    site.files["/shard.tar"] = b"\xff\xfe"
    with pytest.raises(UserError, match="is no text"):
        read_remote_text(f"{site.address}/shard.tar")


def test_a_shard_is_downloaded_once_and_named_by_its_content(site: Site, tmp_path: Path) -> None:
    data = os.urandom(3_000_000)
    one, copy = shard(site, "a/shard.tar", data), shard(site, "b/shard.tar", data)
    cache = ShardCache(str(tmp_path), 1)
    assert content(cache, one) == content(cache, one) == content(cache, copy) == data
    assert cache.local(one) == tmp_path / f"{one.sha256}.tar"
    assert site.downloads == ["/a/shard.tar"]
    changed = shard(site, "a/shard.tar", b"changed")
    assert content(cache, changed) == b"changed"


def test_shards_come_from_memory_too(tmp_path: Path) -> None:
    fsspec.filesystem("memory").pipe("/shards/one.tar", b"tar")
    one = Shard("memory://shards/one.tar", hashlib.sha256(b"tar").hexdigest(), ())
    assert content(ShardCache(str(tmp_path), 1), one) == b"tar"


@pytest.mark.parametrize("tells_size", [True, False])
def test_what_was_used_longest_ago_goes_first(site: Site, tmp_path: Path, tells_size: bool) -> None:
    site.tells_size = tells_size
    foreign = tmp_path / "shard-00000.tar"
    foreign.write_bytes(bytes(5000))
    cache = ShardCache(str(tmp_path), 10 * KILOBYTE)
    shards = [shard(site, f"{number}.tar", bytes([number]) * 4000) for number in range(4)]
    paths = [tmp_path / f"{one.sha256}.tar" for one in shards]
    cache.local(shards[0])
    cache.local(shards[1])
    cache.local(shards[0])
    for number in (2, 3):
        with cache.open(shards[0]) as used, cache.open(shards[number]) as fresh:
            assert fresh.read() == bytes([number]) * 4000
            assert used.read() == bytes(4000)
        assert kept(tmp_path) - 5000 <= 10_000
        assert [path.is_file() for path in paths] == [True, False, number == 2, number == 3]
    assert foreign.is_file()  # whatever else lies there is not the cache's to delete


def test_an_evicted_shard_that_is_being_read_stays_readable(site: Site, tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 5 * KILOBYTE)
    first, second = shard(site, "1.tar", b"1" * 4000), shard(site, "2.tar", b"2" * 4000)
    with cache.open(first) as file:
        cache.local(second)
        assert not (tmp_path / f"{first.sha256}.tar").exists()
        assert file.read() == b"1" * 4000
    assert content(cache, first) == b"1" * 4000


@pytest.mark.parametrize("tells_size", [True, False])
def test_a_shard_larger_than_the_cache_is_refused(site: Site, tmp_path: Path, tells_size: bool) -> None:
    site.tells_size = tells_size
    with pytest.raises(UserError, match=r"data\.cache\.gigabytes=1e-06 is less than shard .*/1\.tar"):
        ShardCache(str(tmp_path), KILOBYTE).open(shard(site, "1.tar", bytes(1001)))
    assert kept(tmp_path) == 0


def test_what_a_killed_download_left_is_removed_and_not_counted(site: Site, tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 5 * KILOBYTE)
    one = shard(site, "1.tar", bytes(4000))
    left = [tmp_path / f".{digest}-x1y2.tar" for digest in (one.sha256, "f" * 64)]
    for path in left:
        path.write_bytes(bytes(3000))
    cache.local(one)
    assert names(tmp_path) == {f"{one.sha256}.tar"}


def test_a_shard_that_differs_from_the_manifest_is_not_kept(site: Site, tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 1, AT_ONCE)
    one = shard(site, "1.tar", b"right")
    site.files["/1.tar"] = b"wrong"
    for _ in range(3):  # each clip of a shard asks for it
        with pytest.raises(ShardUnavailable, match=r"/1\.tar cannot be had: its SHA-256 is not what the manifest says"):
            cache.open(one)
    assert names(tmp_path) == set()
    assert site.downloads == ["/1.tar"]


@pytest.mark.parametrize("digest", ["", "../../evil", "0" * 63, "G" * 64])
def test_a_manifest_cannot_choose_the_name_in_the_cache(site: Site, tmp_path: Path, digest: str) -> None:
    site.files["/1.tar"] = b"evil"
    with pytest.raises(UserError, match="as SHA-256"):
        ShardCache(str(tmp_path / "a" / "b"), 1).open(Shard(f"{site.address}/1.tar", digest, ()))
    assert site.downloads == []


def test_a_shard_that_has_vanished_is_unavailable(site: Site, tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 1, AT_ONCE)
    first, second = shard(site, "1.tar", b"1"), shard(site, "2.tar", b"2")
    cache.local(first)
    site.files.clear()
    with pytest.raises(ShardUnavailable, match="there is no such file"):
        cache.open(second)
    assert content(cache, first) == b"1"
    assert names(tmp_path) == {f"{first.sha256}.tar"}


def test_a_passing_trouble_is_outlived(site: Site, tmp_path: Path) -> None:
    data = os.urandom(300_000)
    one = shard(site, "1.tar", data)
    site.troubles["/1.tar"] = [503, "cut"]
    assert content(ShardCache(str(tmp_path), 1, AT_ONCE), one) == data


def test_a_connection_that_always_breaks_makes_a_shard_unavailable_for_a_while(site: Site, tmp_path: Path) -> None:
    now = [0.0]
    cache = ShardCache(str(tmp_path), 1, AT_ONCE, clock=lambda: now[0])
    one = shard(site, "1.tar", bytes(300_000))
    site.troubles["/1.tar"] = ["cut"] * 4
    for now[0] in (0.0, 1.0, REST - 1):  # each clip of a shard asks for it
        with pytest.raises(ShardUnavailable, match=r"/1\.tar cannot be had"):
            cache.open(one)
    assert len(site.downloads) == 4
    assert names(tmp_path) == set()
    assert content(cache, shard(site, "2.tar", b"other")) == b"other"
    now[0] = REST
    assert content(cache, one) == bytes(300_000)  # what may pass is tried anew


def test_a_cache_folder_that_cannot_be_used_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"cannot be kept in .*file/cache .*data\.cache\.folder"):
        ShardCache(str(tmp_path / "file" / "cache"), 1).open(shard(site, "1.tar", b"1"))


def test_a_full_disk_is_this_machine_s_fault(site: Site, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    one = shard(site, "1.tar", bytes(3_000_000))
    site.tells_size = False

    def fetch() -> None:
        # A limit on the size of files stands for a full disk: writing fails half-way in the same manner.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        with pytest.raises(UserError, match=r"cannot be kept in .*data\.cache\.gigabytes=1"):
            ShardCache(str(tmp_path), 1).open(one)

    assert finish([multiprocessing.get_context("fork").Process(target=fetch)]) == [0]
    assert names(tmp_path) == set()


def test_processes_that_want_the_same_shard_download_it_once(site: Site, tmp_path: Path) -> None:
    one = shard(site, "1.tar", os.urandom(100_000))
    site.seconds = 0.5
    cache = ShardCache(str(tmp_path), 1)
    context = multiprocessing.get_context("fork")
    assert finish([context.Process(target=cache.local, args=(one,)) for _ in range(3)]) == [0, 0, 0]
    assert site.downloads == ["/1.tar"]
    assert content(cache, one) == site.files["/1.tar"]


@pytest.mark.parametrize(("kilobytes", "together"), [(9, 2), (5, 1)])
def test_downloads_at_once_stay_within_the_bound_together(
    site: Site, tmp_path: Path, kilobytes: int, together: int
) -> None:
    shards = [shard(site, f"{number}.tar", os.urandom(4000)) for number in range(2)]
    site.seconds = 0.5
    cache = ShardCache(str(tmp_path), kilobytes * KILOBYTE)
    context = multiprocessing.get_context("fork")
    assert finish([context.Process(target=cache.local, args=(one,)) for one in shards]) == [0, 0]
    assert site.most_together == together
    assert kept(tmp_path) == 4000 * together


class Sizes(Dataset[int]):
    """A data set that does nothing but open shards."""

    def __init__(self, shards: list[Shard], cache: ShardCache) -> None:
        self.shards = shards
        self.cache = cache

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> int:
        return len(content(self.cache, self.shards[index]))


def test_no_connection_is_left_that_forked_processes_would_share(site: Site) -> None:
    site.files["/manifest.jsonl"] = b"{}"
    for _ in range(3):
        read_remote_text(f"{site.address}/manifest.jsonl")
    deadline = time.monotonic() + 10
    while site.connections and time.monotonic() < deadline:  # the server hears of it a moment later
        time.sleep(0.01)
    assert site.connections == 0


def test_forked_workers_download_after_their_parent_has_used_the_web(site: Site, tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 1)
    shards = [shard(site, f"{number}.tar", bytes(1000 + number)) for number in range(5)]
    site.files["/manifest.jsonl"] = b"{}"
    read_remote_text(f"{site.address}/manifest.jsonl")
    cache.local(shards[4])
    loader = DataLoader(
        Sizes(shards, cache), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=30
    )
    assert list(loader) == [1000, 1001, 1002, 1003, 1004]
    assert read_remote_text(f"{site.address}/manifest.jsonl") == "{}"  # and the parent goes on using it
    assert sorted(site.downloads)[:5] == [f"/{number}.tar" for number in range(5)]


def test_a_spawned_process_downloads_too(site: Site, tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 1)
    first, second = shard(site, "1.tar", b"1"), shard(site, "2.tar", b"2")
    cache.local(first)
    process = multiprocessing.get_context("spawn").Process(target=cache.local, args=(second,))
    assert finish([process]) == [0]
    assert names(tmp_path) == {f"{one.sha256}.tar" for one in (first, second)}
