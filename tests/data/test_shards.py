import errno
import io
import json
import os
import shutil
import tarfile
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

import fsspec
import numpy as np
import pytest

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.data.folder import HeldOutShards, MixedFolders
from dvface.data.reading import ShardReader
from dvface.data.remote import ShardCache
from dvface.data.shards import (
    CLEAN,
    DEGRADED,
    Clip,
    Shard,
    read_manifest,
    read_samples,
    shard_paths,
    verify,
    write_shards,
    write_tar,
)
from dvface.errors import UserError
from dvface.video.decode import open_clip


def test_clips_come_back_from_shards(carphone: np.ndarray, tmp_path: Path) -> None:
    degraded = np.flip(carphone[:9], axis=2).copy()
    clips = [
        Clip("one", carphone[:9], Fraction(30000, 1001), degraded, {"source": "carphone", "note": [1, 2]}),
        Clip("two", carphone[9:14, :32, :48], Fraction(25), meta={"source": "carphone"}),
    ]
    write_shards(tmp_path, clips, clips_per_shard=1)
    one, two = read_samples(shard_paths(tmp_path))
    for sample, part, frames in (
        (one, CLEAN, carphone[:9]),
        (one, DEGRADED, degraded),
        (two, CLEAN, clips[1].clean),
    ):
        reader = open_clip(sample[part])
        error = np.abs(reader.read(0, len(reader)).astype(int) - frames)
        assert error.max() <= 3
        assert error.mean() < 0.6
    assert DEGRADED not in two
    assert json.loads(one["meta.json"]) == {"source": "carphone", "note": [1, 2], "rate": "30000/1001"}
    first, second = read_manifest(tmp_path)
    assert (first["key"], first["frames"], first["degraded_stored"]) == ("one", 9, True)
    assert (second["shard"], second["height"], second["width"]) == ("shard-00001.tar", 32, 48)


def test_writing_twice_gives_the_same_bytes(carphone: np.ndarray, tmp_path: Path) -> None:
    for name in ("one", "two"):
        write_shards(tmp_path / name, [Clip("clip", carphone[:5], Fraction(25))], clips_per_shard=4)
    one, two = ((tmp_path / name / "shard-00000.tar").read_bytes() for name in ("one", "two"))
    assert one == two


def test_shards_hold_no_pickle(small_shards: Path) -> None:
    for shard in shard_paths(small_shards):
        with tarfile.open(shard) as tar:
            assert {name.split(".", 1)[1] for name in tar.getnames()} == {"clean.mp4", "meta.json"}


def test_verify_names_what_changed(carphone: np.ndarray, tmp_path: Path) -> None:
    write_shards(tmp_path, [Clip(f"clip-{n}", carphone[n : n + 5], Fraction(25)) for n in range(2)], clips_per_shard=1)
    assert verify(tmp_path) == []
    with open(tmp_path / "shard-00000.tar", "r+b") as file:
        file.seek(1000)
        file.write(b"x")
    (tmp_path / "shard-00001.tar").unlink()
    faults = verify(tmp_path)
    assert len(faults) == 2
    assert "shard-00000.tar differs" in faults[0]
    assert "shard-00001.tar is missing" in faults[1]


def test_a_failure_leaves_no_shard_and_no_manifest(carphone: np.ndarray, tmp_path: Path) -> None:
    def clips():
        yield Clip("clip", carphone[:5], Fraction(25))
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        write_shards(tmp_path, clips(), clips_per_shard=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("content", "words"), [(None, "has no manifest"), ("", "lists no clip"), ("{", "damaged")])
def test_a_folder_that_is_no_data_set_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "manifest.jsonl").write_text(content)
    with pytest.raises(UserError, match=words):
        shard_paths(tmp_path)


class FailingFile(io.BytesIO):
    """A file on a disk that gives way while it is read."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def read(self, size: int | None = -1) -> bytes:
        raise OSError(self.number, os.strerror(self.number))


class FailingDisk(ShardCache):
    """Opens every shard, and reads none."""

    def __init__(self, number: int) -> None:
        super().__init__("", 1)
        self.number = number

    def open(self, shard: Shard) -> BinaryIO:
        return FailingFile(self.number)


def test_a_disk_that_fails_while_a_clip_is_read_ends_training_in_one_sentence() -> None:
    with pytest.raises(UserError, match=r"^shard a\.tar cannot be read \(.*\); mend the machine"):
        ShardReader(FailingDisk(errno.EIO)).read(Shard("a.tar", "0" * 64, ("clip",)), "clip")


def test_a_file_that_fails_while_a_clip_is_read_costs_the_clip() -> None:
    with pytest.raises(ValueError, match=r"^shard a\.tar cannot be had: "):
        ShardReader(FailingDisk(errno.ESTALE)).read(Shard("a.tar", "0" * 64, ("clip",)), "clip")


class CrowdedCache(ShardCache):
    """Evicts every shard as soon as it is open, as another process may."""

    def open(self, shard: Shard) -> BinaryIO:
        file = super().open(shard)
        for path in self.folder.glob("*.tar"):
            path.unlink()
        return file


def test_held_out_shards_may_be_evicted_while_they_are_read(paired_shards: Path, tmp_path: Path) -> None:
    fsspec.filesystem("memory").put(f"{paired_shards}/", "/crowded", recursive=True)
    here = HeldOutShards(str(paired_shards), ShardCache(str(tmp_path), 1)).read()
    there = HeldOutShards("memory://crowded", CrowdedCache(str(tmp_path), 1)).read()
    assert len(here) == len(there) == 6
    for one, other in zip(here, there, strict=True):
        np.testing.assert_array_equal(one.clean, other.clean)
        np.testing.assert_array_equal(one.degraded, other.degraded)
        assert one.rate == other.rate == 25


def test_fewer_held_out_clips_are_spread_evenly_over_all(paired_shards: Path, tmp_path: Path) -> None:
    def read(clips: int | None) -> list[bytes]:
        return [pair.clean.tobytes() for pair in HeldOutShards(str(paired_shards), cache, clips).read()]

    cache = ShardCache(str(tmp_path), 1)
    entries = [json.loads(line) for line in (paired_shards / "manifest.jsonl").read_text().splitlines()]
    order = sorted(range(6), key=lambda place: entries[place]["key"])
    every = read(None)
    assert read(3) == [every[order[place]] for place in (0, 2, 4)]
    assert sorted(read(6)) == sorted(read(7)) == sorted(every)
    with pytest.raises(ValueError, match="most_held_out=0: give 1 or more"):
        read(0)


@pytest.mark.parametrize(
    ("part", "content", "words"),
    [
        ("clean.mp4", None, "it has no clean.mp4"),
        ("clean.mp4", b"noise", "the data is no whole video"),
        ("meta.json", None, "it has no meta.json"),
        ("meta.json", b"{}", "its meta.json gives no rate"),
        ("degraded.mp4", None, "has no stored degraded side"),
    ],
)
def test_a_held_out_clip_that_is_damaged_is_named(
    paired_shards: Path, tmp_path: Path, part: str, content: bytes | None, words: str
) -> None:
    folder = tmp_path / "damaged"
    shutil.copytree(paired_shards, folder)
    path = folder / "shard-00001.tar"
    sample, other = read_samples([path])
    key = sample["__key__"]
    members = {f"{one['__key__']}.{name}": one[name] for one in (sample, other) for name in one if name[0] != "_"}
    del members[f"{key}.{part}"]
    if content is not None:
        members[f"{key}.{part}"] = content
    write_tar(path, members.items())
    with pytest.raises(UserError, match=rf"clip {key} .*{words}|held_out=.*clip {key} .*{words}"):
        HeldOutShards(str(folder), ShardCache(str(tmp_path / "cache"), 1)).read()


def mixture(*words: str) -> MixedFolders:
    chosen = ["data=mixed", "data.source.held_out=h", "data.source.parts.videos.train=v", *words]
    return build(resolve(load("train", chosen))["data"]["source"])


def test_a_part_of_a_mixture_is_left_out_by_null() -> None:
    assert set(mixture("data.source.parts.stills.train=s").parts) == {"videos", "stills"}
    assert set(mixture("data.source.parts.stills=null").parts) == {"videos"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["data.source.parts.stills=3"], r"data\.source\.parts\.stills=3: a part is a .*null"),
        (["data.source.parts=3"], r"data\.source\.parts=3: give data sets by name"),
        (["data.source.parts.stills=null", "data.source.parts.videos=null"], "at least one data set"),
    ],
)
def test_what_is_no_mixture_is_refused_with_its_key(words: list[str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        mixture(*(["data.source.parts.stills.train=s"] if words == ["data.source.parts=3"] else []), *words)
