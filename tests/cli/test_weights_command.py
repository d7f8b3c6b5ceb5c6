"""`dvface weights`."""

import hashlib
import io
import json
from pathlib import Path

import pytest

from dvface.cli import weights as command
from dvface.cli.commands import weights as dvface_weights
from dvface.errors import UserError
from dvface.weights import FOLDER_VARIABLE, Form, Weights

CONTENT = b"tensors" * 1000
DIGEST = hashlib.sha256(CONTENT).hexdigest()
FACTS = {"used_by": ("psnr",), "source": "w.test", "licence": "MIT"}
CATALOGUE = (
    Weights(
        "One", ("a/one.pth",), None, "one", url="https://w.test/one.pth", forms=(Form("one.pth", DIGEST),), **FACTS
    ),
    Weights("Two", ("a/two.pth",), None, "two", url="https://w.test/two.pth", forms=(Form("two.pth"),), **FACTS),
    Weights("Three", ("a/three.pth",), None, "three", forms=(Form("three.pth", DIGEST, len(CONTENT)),), **FACTS),
)


class Answer(io.BytesIO):
    """What the server of these tests sends."""

    def __init__(self, content: bytes) -> None:
        super().__init__(content)
        self.headers = {"Content-Length": str(len(content))}


@pytest.fixture
def cache(tmp_path: Path, monkeypatch) -> Path:
    """The user's cache, empty, with a catalogue of three networks of which none is at hand."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "folder"))
    monkeypatch.setattr(
        command, "entries", lambda chosen=CATALOGUE: [command.Entry(one, one.locate()) for one in chosen]
    )
    known = {one.key: one for one in CATALOGUE}
    monkeypatch.setattr(command, "network", known.__getitem__)
    return tmp_path / "xdg/dvface/weights"


def put(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def fetched(words: str, content: bytes = CONTENT) -> tuple[int, list[str]]:
    said: list[str] = []
    return command.fetch_networks(words, said.append, lambda url: Answer(content)), said


def test_the_real_table_and_its_json_tell_the_same_networks(capsys) -> None:
    assert dvface_weights([]) == 0
    table = capsys.readouterr().out
    assert dvface_weights(["json=true"]) == 0
    records = json.loads(capsys.readouterr().out)
    lines = table.splitlines()
    assert lines[0].split() == ["network", "used", "by", "state", "MB", "licence", "source"]
    assert [line.split()[0] for line in lines[2 : 2 + len(records)]] == [record["key"] for record in records]
    identity = next(record for record in records if record["key"] == "dlib_identity")
    assert identity["place"] in ("folder", "cache", "package")
    assert Path(identity["path"]).stat().st_size == identity["size"] == 22_466_066
    assert "right" not in identity
    assert all(record["source"] and record["licence"] and record["used_by"] for record in records)


def test_the_table_says_where_each_is_and_how_to_get_the_rest(cache, tmp_path: Path, capsys) -> None:
    put(tmp_path / "folder/a/three.pth", CONTENT)
    put(cache / "a/two.pth", CONTENT)
    assert dvface_weights([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "  missing " in lines[2]
    assert "  in the cache " in lines[3]
    assert "  in $DVFACE_WEIGHTS " in lines[4]
    assert lines[-1] == "2 of 3 networks at hand; 1 more (0 MB): dvface weights fetch=missing"


def test_verification_names_a_file_that_differs_and_what_could_not_be_checked(cache, capsys) -> None:
    put(cache / "a/one.pth", CONTENT)
    put(cache / "a/two.pth", CONTENT)
    assert dvface_weights(["verify=true"]) == 0
    said = capsys.readouterr().out
    assert f"one: {cache}/a/one.pth is as published" in said
    assert f"two: {cache}/a/two.pth was not checked: no SHA-256 is known to us" in said
    assert "three" not in said
    put(cache / "a/one.pth", CONTENT[:-1] + b"S")
    put(cache / "a/three.pth", CONTENT[:-1])
    assert dvface_weights(["verify=true"]) == 2
    said = capsys.readouterr().out
    assert f"one: {cache}/a/one.pth has the SHA-256" in said
    assert f"three: {cache}/a/three.pth has 6999 bytes instead of 7000" in said
    assert dvface_weights(["verify=true", "json=true"]) == 2
    assert [record["right"] for record in json.loads(capsys.readouterr().out)] == [False, None, False]


def test_what_is_fetched_lies_in_the_cache_and_is_found_there(cache) -> None:
    failed, said = fetched("one")
    assert failed == 0
    assert said == [
        "one: https://w.test/one.pth (licence: MIT)",
        f"one: {cache}/a/one.pth, SHA-256 as published",
    ]
    assert CATALOGUE[0].find() == cache / "a/one.pth"
    assert fetched("one")[1] == [f"one: at hand: {cache}/a/one.pth"]


def test_a_sum_that_cannot_be_checked_is_told(cache) -> None:
    assert fetched("two")[1][-1] == (
        f"two: {cache}/a/two.pth, SHA-256 {DIGEST}, which could not be checked: none is known to us"
    )


def test_all_that_is_missing_is_fetched_and_what_has_no_address_is_named(cache) -> None:
    put(cache / "a/one.pth", CONTENT)
    failed, said = fetched("missing")
    assert failed == 1
    assert not any(line.startswith("one:") for line in said)
    assert said[-1] == (
        "three: there is no address to fetch it from; get it from w.test, as $DVFACE_WEIGHTS/a/three.pth"
    )
    assert (cache / "a/two.pth").read_bytes() == CONTENT


def test_a_failure_does_not_keep_the_others_from_coming(cache) -> None:
    failed, said = fetched("one,two", content=CONTENT[:-1] + b"S")
    assert failed == 1
    assert "so it was not kept" in said[1]
    assert not (cache / "a/one.pth").exists()
    assert (cache / "a/two.pth").is_file()


def test_a_damaged_file_in_the_cache_is_replaced_and_one_in_the_folder_is_the_users(cache, tmp_path: Path) -> None:
    put(cache / "a/one.pth", b"damaged")
    assert fetched("one")[0] == 0
    assert (cache / "a/one.pth").read_bytes() == CONTENT
    own = put(tmp_path / "folder/a/one.pth", b"damaged")
    failed, said = fetched("one")
    assert failed == 1
    assert "remove it first" in said[0]
    assert own.read_bytes() == b"damaged"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["fetch=dlib_identiti"], "did you mean 'dlib_identity'"),
        (["fetch=dlib_identity,nothing"], "no network is called 'nothing'"),
        (["fetch=dlib_identity", "json=true"], "takes no other setting"),
        (["verify=yes"], "say true or false"),
        (["get=all"], "unknown setting 'get=all'"),
    ],
)
def test_mistakes_are_one_sentence(words, message) -> None:
    with pytest.raises(UserError, match=message):
        dvface_weights(words)


def test_bytes_are_shown_in_megabytes() -> None:
    steps: list[int] = []
    count = command.InMegabytes(steps.append)
    for size in (1, 999_999, 1, 2_500_000):
        count(size)
    assert steps == [1, 0, 1, 2]
