import json
import tarfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dvface.data.shards import (
    CLEAN,
    DEGRADED,
    Clip,
    read_manifest,
    read_samples,
    shard_paths,
    verify,
    write_shards,
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
