import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from tests.training.runs import Runs

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.errors import UserError
from dvface.tracking.provenance import PROVENANCE, Provenance, provenance, read_provenance, write_provenance


def record(**changes: object) -> Provenance:
    return replace(provenance({"train": "a", "held_out": "b"}, 3, ["exp=tiny", "name=it's mine"]), **changes)


def test_a_record_is_read_back_and_tells_its_command_as_a_shell_takes_it(tmp_path: Path) -> None:
    written = record()
    write_provenance(tmp_path, written)
    found = read_provenance(tmp_path)
    assert found is not None
    assert found.tags() == written.tags()
    assert (found.seed, list(found.command)) == (3, ["exp=tiny", "name=it's mine"])
    assert found.words() == """dvface train exp=tiny 'name=it'"'"'s mine'"""
    assert found.drift(written) == []


def test_tags_have_all_that_decides_a_run(tmp_path: Path) -> None:
    tags = record(dirty=None).tags()
    assert tags["manifest.train"] == "a"
    assert tags["seed"] == "3"
    assert tags["dirty"] == "unknown"
    assert tags["mlflow.source.git.commit"] == tags["commit"]
    assert {"version.torch", "version.python", "hardware.processor", "hardware.gpus", "command"} <= set(tags)


def test_drift_names_what_differs_and_not_what_was_asked() -> None:
    began = record(commit="one", manifests={"train": "a", "held_out": "b"})
    later = replace(began, commit="two", manifests={"train": "c"}, seed=9, command=["exp=other"], started="later")
    assert began.drift(later) == ["commit: one -> two", "manifest.train: a -> c", "manifest.held_out: b -> none"]
    assert began.going_on(later).resumed == [{"at": "later", "drift": began.drift(later)}]


def test_an_older_run_has_none_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    assert read_provenance(tmp_path) is None
    for damage in ("{", "[]", '{"commit": "a"}'):
        (tmp_path / PROVENANCE).write_text(damage)
        with pytest.raises(UserError, match="damaged"):
            read_provenance(tmp_path)


def test_data_sets_are_told_by_their_manifests(paired_shards: Path, small_shards: Path) -> None:
    def manifests(*words: str) -> dict[str, str]:
        return build(resolve(load("train", words))["data"]["source"]).manifests()

    digests = {
        folder: hashlib.sha256((folder / "manifest.jsonl").read_bytes()).hexdigest()
        for folder in (paired_shards, small_shards)
    }
    shards = [f"data.source.train={small_shards}", f"data.source.held_out={paired_shards}"]
    assert manifests("data=shards", *shards) == {"train": digests[small_shards], "held_out": digests[paired_shards]}
    # some clips of a set are other footage than all of them
    few = manifests("data=shards", *shards, "data.source.most_held_out=2")
    assert few["held_out"] == f"{digests[paired_shards]}:2"
    assert manifests("data=shards", *shards, "data.source.most_held_out=6")["held_out"] == digests[paired_shards]
    mixed = [f"data.source.parts.{name}.train={small_shards}" for name in ("videos", "stills")]
    assert manifests("data=mixed", *mixed, shards[1]) == {
        "train/videos": digests[small_shards],
        "train/stills": digests[small_shards],
        "held_out": digests[paired_shards],
    }


def test_embedded_footage_is_told_by_what_it_wrote(tmp_path: Path) -> None:
    def manifests(seed: int) -> dict[str, str]:
        words = [f"runs={tmp_path}", f"seed={seed}", "data.source.held_out_clips=1", "data.source.camera_moves=1"]
        return build(resolve(load("train", words))["data"]["source"]).manifests()

    first, second = manifests(0), manifests(1)
    written = {path.parent.name for path in tmp_path.rglob("manifest.jsonl")}
    assert written == {"train", "held_out"}
    assert set(first) == {"train", "held_out", "carphone_distorted"}
    assert all(len(digest) == 64 for digest in first.values())
    assert first["held_out"] != second["held_out"]
    assert first["carphone_distorted"] == second["carphone_distorted"]
    assert first == manifests(0)


def test_a_run_keeps_its_record_and_notes_what_drifted_when_it_goes_on(
    tmp_path: Path, paired_shards: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copy(empty_store, tmp_path)
    runs = Runs(tmp_path, paired_shards)
    cut = runs.cut(monkeypatch, "name=one", "logger=mlflow")
    began = read_provenance(cut.path)
    assert began is not None
    assert list(began.command) == runs.words("name=one", "logger=mlflow")
    assert began.seed == OmegaConf.load(cut.config)["seed"] == 0
    assert not began.resumed
    monkeypatch.setattr("dvface.tracking.provenance.versions", lambda: {**began.versions, "torch": "9.9"})
    runs.train("name=one", "logger=mlflow")
    found = read_provenance(cut.path)
    assert found is not None
    line = f"version.torch: {began.versions['torch']} -> 9.9"
    assert [note["drift"] for note in found.resumed] == [[line]]
    assert found.drift(began) == []  # the record of the start stays
    assert any(line in said for said in runs.said)
    from dvface.tracking.store import SqliteStore

    (tracked,) = SqliteStore(tmp_path).runs()
    assert tracked.tags["provenance_drift"] == line
    assert tracked.tags["manifest.held_out"] == began.manifests["held_out"]
    kept = tmp_path / "mlartifacts" / tracked.id / "artifacts" / PROVENANCE
    assert json.loads(kept.read_text()) == json.loads((cut.path / PROVENANCE).read_text())


def test_a_run_without_a_record_goes_on_without_one(
    tmp_path: Path, paired_shards: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Runs(tmp_path, paired_shards)
    cut = runs.cut(monkeypatch, "name=old")
    (cut.path / PROVENANCE).unlink()
    runs.train("name=old")
    assert not (cut.path / PROVENANCE).exists()
