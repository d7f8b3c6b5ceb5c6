"""Where pretrained files are looked for, and what is said of one that is nowhere."""

import hashlib
from pathlib import Path

import pytest

from dvface.errors import UserError
from dvface.weights import FOLDER_VARIABLE, Form, PackagedFile, Weights, WeightsMissing, cache_folder

CARRIED = PackagedFile("torchmetrics", "torchmetrics/functional/image/lpips_models/alex.pth")


@pytest.fixture
def places(tmp_path: Path, monkeypatch) -> tuple[Path, Path]:
    """The two folders that are looked through, both empty: of the variable, and the cache."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "folder"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "folder", tmp_path / "xdg/dvface/weights"


def put(path: Path, content: bytes = b"tensors") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_the_order_is_explicit_folder_cache_package(places, tmp_path: Path) -> None:
    folder, cache = places
    weights = Weights(name="a network", folder_names=("a/one.pth", "a/two.pth"), packaged=CARRIED)
    assert weights.locate().place == "package"
    assert weights.find() == CARRIED.locate()
    in_cache = put(cache / "a/two.pth")
    assert (weights.locate().path, weights.locate().place) == (in_cache, "cache")
    second = put(folder / "a/two.pth")
    assert (weights.locate().path, weights.locate().place) == (second, "folder")
    first = put(folder / "a/one.pth")
    assert weights.find() == first
    explicit = put(tmp_path / "mine.pth")
    assert weights.find(explicit) == explicit


def test_an_explicit_path_that_does_not_exist_is_an_error_and_nothing_else_is_taken(places) -> None:
    with pytest.raises(UserError, match=r"nowhere\.pth \(a network\) does not exist"):
        Weights(name="a network", packaged=CARRIED).find("nowhere.pth")


def test_a_missing_file_is_said_in_one_line_with_its_places_and_the_command_that_fetches_it(places) -> None:
    weights = Weights(
        name="a network", folder_names=("a/one.pth",), key="one", url="https://weights.test/one.pth", source="w.test"
    )
    with pytest.raises(WeightsMissing) as missing:
        weights.find()
    assert str(missing.value) == (
        f"a network is not at hand (looked in: $DVFACE_WEIGHTS/a/one.pth, {places[1]}); "
        "fetch it: dvface weights fetch=one"
    )


def test_without_an_address_it_says_where_its_makers_publish_it(places) -> None:
    with pytest.raises(WeightsMissing, match=r"; get it from github\.com/makers/network$"):
        Weights(name="a network", folder_names=("a.pth",), key="a", source="github.com/makers/network").find()


def test_the_cache_follows_the_xdg_specification(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == tmp_path / ".cache/dvface/weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert cache_folder() == tmp_path / ".cache/dvface/weights"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert cache_folder() == Path("/elsewhere/dvface/weights")


def test_a_home_folder_is_not_spelled_out_in_messages(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    with pytest.raises(WeightsMissing, match=r", ~/\.cache/dvface/weights\)"):
        Weights(name="a network", folder_names=("a.pth",)).find()


def test_a_file_is_checked_by_its_name(tmp_path: Path) -> None:
    digest = hashlib.sha256(b"tensors").hexdigest()
    weights = Weights(
        name="a network",
        forms=(Form("whole.pth", digest, 7), Form("begun.pth", digest[:8]), Form("unknown.pth")),
    )
    for name in ("whole.pth", "begun.pth", "unknown.pth", "other.pth"):
        assert weights.check(put(tmp_path / name)) is None
    assert weights.check(put(tmp_path / "whole.pth", b"tensor")) == "has 6 bytes instead of 7"
    for name in ("whole.pth", "begun.pth"):
        fault = weights.check(put(tmp_path / name, b"Tensors"))
        assert fault == f"has the SHA-256 {hashlib.sha256(b'Tensors').hexdigest()[:16]}… instead of " + (
            f"{digest[:16]}…" if name == "whole.pth" else f"{digest[:8]}…"
        )


def test_a_fetched_file_keeps_the_name_of_its_address_where_that_is_one_of_the_looked_for() -> None:
    names = ("a/original.pth", "a/ported-01234567.pth")
    ported = Weights(name="a", folder_names=names, url="https://w.test/ported-01234567.pth")
    assert ported.fetched_name == "a/ported-01234567.pth"
    assert Weights(name="a", folder_names=names, url="https://w.test/download").fetched_name == "a/original.pth"
