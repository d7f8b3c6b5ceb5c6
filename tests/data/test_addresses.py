"""Addresses of data sets, and texts that are read from them."""

import sys
from pathlib import Path

import fsspec
import pytest
from tests.data.site import AT_ONCE, Site, wait_for

from dvface.data.addresses import check_address, is_remote, join
from dvface.data.fetching import read_remote_text
from dvface.data.remote import ShardCache
from dvface.data.shards import Shard
from dvface.errors import UserError


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


def test_no_connection_is_left_that_forked_processes_would_share(site: Site) -> None:
    site.files["/manifest.jsonl"] = b"{}"
    for _ in range(3):
        read_remote_text(f"{site.address}/manifest.jsonl")
    assert wait_for(lambda: site.connections == 0)  # the server hears of it a moment later
