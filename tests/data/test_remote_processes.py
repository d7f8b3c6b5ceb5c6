"""Several processes and one cache of shards."""

import multiprocessing
import os
from pathlib import Path
from typing import BinaryIO

import pytest
from tests.data.site import FORK, KILOBYTE, PATIENCE, Site, content, finish, kept, names, shard
from torch.utils.data import DataLoader, Dataset

from dvface.data.fetching import read_remote_text
from dvface.data.remote import ShardCache
from dvface.data.shards import Shard
from dvface.errors import UserError


def test_a_full_disk_is_this_machine_s_fault(site: Site, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    one = shard(site, "1.tar", bytes(3_000_000))
    site.tells_size = False

    def fetch() -> None:
        # A limit on the size of files stands for a full disk: writing fails half-way in the same manner.
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))
        with pytest.raises(UserError, match=r"cannot be kept in .*data\.cache\.gigabytes=1"):
            ShardCache(str(tmp_path), 1).open(one)

    assert finish([FORK.Process(target=fetch)]) == [0]
    assert names(tmp_path) == set()


class Watched(ShardCache):
    """Tells other processes how often a shard was found missing, and how often there was no room for one."""

    def __init__(self, folder: str, gigabytes: float) -> None:
        super().__init__(folder, gigabytes)
        self.missing, self.refused = FORK.Value("i", 0), FORK.Value("i", 0)

    def _fetch(self, shard: Shard, path: Path) -> BinaryIO:
        with self.missing:
            self.missing.value += 1
        return super()._fetch(shard, path)

    def _make_room(self, size: int, own: Path) -> bool:
        found = super()._make_room(size, own)
        with self.refused:
            self.refused.value += not found
        return found


def test_processes_that_want_the_same_shard_download_it_once(site: Site, tmp_path: Path) -> None:
    one = shard(site, "1.tar", os.urandom(100_000))
    cache = Watched(str(tmp_path), 1)
    site.may_answer = lambda: cache.missing.value == 3  # each has seen that it is not there
    assert finish([FORK.Process(target=cache.local, args=(one,)) for _ in range(3)]) == [0, 0, 0]
    assert cache.missing.value == 3
    assert site.downloads == ["/1.tar"]
    assert content(cache, one) == site.files["/1.tar"]


def test_two_downloads_for_which_there_is_room_go_on_at_once(site: Site, tmp_path: Path) -> None:
    shards = [shard(site, f"{number}.tar", os.urandom(4000)) for number in range(2)]
    site.may_answer = lambda: site.most_together == 2
    cache = ShardCache(str(tmp_path), 9 * KILOBYTE)
    assert finish([FORK.Process(target=cache.local, args=(one,)) for one in shards]) == [0, 0]
    assert site.most_together == 2
    assert kept(tmp_path) == 8000


def test_a_download_for_which_there_is_no_room_waits_for_the_other(site: Site, tmp_path: Path) -> None:
    shards = [shard(site, f"{number}.tar", os.urandom(4000)) for number in range(2)]
    cache = Watched(str(tmp_path), 5 * KILOBYTE)
    # The first is held until the second has found no room twice, or has begun in spite of that.
    site.may_answer = lambda: cache.refused.value >= 2 or site.together > 1
    assert finish([FORK.Process(target=cache.local, args=(one,)) for one in shards]) == [0, 0]
    assert cache.refused.value >= 2
    assert site.most_together == 1
    assert kept(tmp_path) == 4000


class Sizes(Dataset[int]):
    """A data set that does nothing but open shards."""

    def __init__(self, shards: list[Shard], cache: ShardCache) -> None:
        self.shards = shards
        self.cache = cache

    def __len__(self) -> int:
        return len(self.shards)

    def __getitem__(self, index: int) -> int:
        return len(content(self.cache, self.shards[index]))


def test_forked_workers_download_after_their_parent_has_used_the_web(site: Site, tmp_path: Path) -> None:
    cache = ShardCache(str(tmp_path), 1)
    shards = [shard(site, f"{number}.tar", bytes(1000 + number)) for number in range(5)]
    site.files["/manifest.jsonl"] = b"{}"
    read_remote_text(f"{site.address}/manifest.jsonl")
    cache.local(shards[4])
    loader = DataLoader(
        Sizes(shards, cache), batch_size=None, num_workers=2, multiprocessing_context="fork", timeout=PATIENCE
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
