"""The cache of shards that lie elsewhere, in one process."""

import hashlib
import os
from pathlib import Path

import fsspec
import pytest
from tests.data.site import AT_ONCE, KILOBYTE, Site, content, kept, names, shard

from dvface.data.addresses import local_path
from dvface.data.remote import REST, ShardCache, ShardUnavailable
from dvface.data.shards import Shard
from dvface.errors import UserError


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
