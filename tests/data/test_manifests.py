"""Manifests that somebody else has written, or a disk has damaged, end in one sentence."""

import json
from pathlib import Path
from typing import Any

import pytest

from dvface.data.pairing import Stored
from dvface.data.sets import draws_sha256, read_set
from dvface.data.shards import parse_manifest, read_manifest, shards_of, verify
from dvface.errors import UserError

SHARDED: dict[str, Any] = {
    "key": "a",
    "shard": "shard-00000.tar",
    "shard_sha256": "0" * 64,
    "frames": 9,
    "height": 48,
    "width": 64,
    "degraded_stored": False,
}
VIDEOS = {"key": "a", "clean": "clean/a.mp4", "degraded": "degraded/a.mp4", "clean_sha256": "0" * 64, "frames": 9}


def text(*entries: object) -> str:
    return "".join(json.dumps(entry) + "\n" for entry in entries)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("3", "3 is no object"),
        ("[]", r"\[\] is no object"),
        ("{", "it is no JSON, .* at column 2"),
        ("{}", "it has no key"),
        ('{"key": 3}', "key is 3, it must be text"),
        ('{"key": ""}', 'key is "", it must be text that is not empty'),
        *(
            (text({**SHARDED, **change}), f"{next(iter(change))} is .*, it must be {kind}")
            for change, kind in (
                ({"frames": "9"}, "a whole number of 1 or more"),
                ({"frames": True}, "a whole number"),
                ({"height": 0}, "a whole number"),
                ({"width": 64.0}, "a whole number"),
                ({"width": None}, "a whole number"),
                ({"shard": 3}, "text"),
                ({"shard_sha256": 3}, "64 hexadecimal digits"),
                ({"shard_sha256": "0" * 63}, "64 hexadecimal digits"),
                ({"shard_sha256": "0" * 64 + "\n"}, "64 hexadecimal digits"),
                ({"degraded_stored": "false"}, "true or false"),
                ({"clean": ["a.mp4"]}, "text"),
                ({"degraded_sha256": "none"}, "64 hexadecimal digits"),
            )
        ),
    ],
)
def test_a_damaged_line_is_named_by_its_number(line: str, words: str) -> None:
    whole = text(SHARDED) + "\n" + line
    with pytest.raises(UserError, match=rf"^here/manifest is damaged \(line 3: {words}.*\); prepare"):
        parse_manifest(whole, "here/manifest")


@pytest.mark.parametrize("entry", [SHARDED, VIDEOS, {"key": "a"}, {**SHARDED, "source": "a\u2028b", "more": [None]}])
def test_manifests_of_every_kind_are_read(entry: dict[str, Any], tmp_path: Path) -> None:
    line = json.dumps(entry, ensure_ascii=False) + "\r\n"
    (tmp_path / "manifest.jsonl").write_text(line, encoding="utf-8")
    assert parse_manifest(line, "here") == read_manifest(tmp_path) == [entry]


def test_a_manifest_that_is_no_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(UserError, match=r"is damaged \(it is no text"):
        read_manifest(tmp_path)


@pytest.mark.parametrize("name", [name for name in SHARDED if name != "key"])
def test_what_training_on_shards_needs_of_each_clip_is_asked_for(name: str) -> None:
    lacking = {key: value for key, value in SHARDED.items() if key != name}
    with pytest.raises(UserError, match=f"^the manifest of here does not give {name} of clip b; prepare"):
        shards_of([SHARDED, {**lacking, "key": "b"}], "here")


def test_a_data_set_with_a_damaged_manifest_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(text({"key": "a", "shard": "a.tar"}))
    with pytest.raises(UserError, match="does not give shard_sha256, frames, height, width, degraded_stored of clip a"):
        read_set(str(tmp_path), Stored())


def test_a_file_without_checksum_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "manifest.jsonl").write_text(text({"key": "a", "clean": "a.mp4"}))
    (tmp_path / "a.mp4").write_bytes(b"video")
    assert verify(tmp_path) == ["a.mp4 has no SHA-256 in the manifest, so it cannot be checked"]


def test_what_was_drawn_for_a_clip_has_a_digest_of_its_own() -> None:
    record = {"recipe": "a", "steps": [{"crf": 23, "encoder": "x264 core 165"}]}
    entry = {**SHARDED, "record": record}
    other_machine = {**entry, "shard_sha256": "1" * 64, "psnr": 3.0, "record": json.loads(json.dumps(record))}
    other_machine["record"]["steps"][0]["encoder"] = "x264 core 164"
    second = {**entry, "key": "b"}
    assert draws_sha256([entry, second]) == draws_sha256([second, other_machine])
    for change in (
        {"key": "c"},
        {"frames": 5},
        {"width": 32},
        {"record": {**record, "steps": [{"crf": 24}]}},
        {"record": None},
    ):
        assert draws_sha256([entry]) != draws_sha256([{**entry, **change}])
