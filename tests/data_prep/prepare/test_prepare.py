"""The whole command on real footage: what it makes, what it refuses, and that it ends alike when disturbed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.data_prep.footage import contents
from tests.data_prep.prepare import hostile

from dvface.config.compose import load, resolve
from dvface.config.schema import PrepareSettings, validated
from dvface.data.footage import PORTRAIT, camera_move
from dvface.data.shards import CLEAN, META, data_sets, read_manifest, read_samples, shard_paths, verify
from dvface.data_prep.prepare.prepare import prepare
from dvface.errors import UserError
from dvface.perception.alignment import TEMPLATE
from dvface.perception.faces import DlibFaces
from dvface.video.decode import open_clip
from dvface.video.write import write_video

RATE = Fraction(25)
QUICK = ["detector=dlib", "size=64", "filters=none", "clip_frames=9", "clips_per_shard=4", "jobs=1"]
DIVIDED = ["split.test=0.3", "split.validation=0.2", "duplicates=null"]


def run(source: Path, folder: Path, *words: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """`dvface prepare` with quick settings; returns the data set's folder."""
    chosen = [f"input={source}", f"output={folder}", *QUICK, *words]
    prepare(validated(PrepareSettings, resolve(load("prepare", chosen))), say)
    return folder


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(40, 144, 176, 3): the astronaut seen by a moving camera."""
    from PIL import Image

    path = PORTRAIT.locate()
    assert path is not None
    with Image.open(path) as image:
        picture = np.asarray(image.convert("RGB"))[0:300, 80:380]
    return camera_move(picture, 40, 144, 176, np.random.default_rng(8))


@pytest.fixture(scope="module")
def raw(carphone: np.ndarray, portrait: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One man in three files, with a cut in the last, a woman in a fourth, and what is no video."""
    folder = tmp_path_factory.mktemp("raw")
    write_video(folder / "man 1.mp4", carphone[:40], RATE)
    (folder / "deep").mkdir()
    write_video(folder / "deep" / "man's 2nd.mkv", carphone[60:100], RATE)
    write_video(folder / "woman.mp4", portrait, RATE)
    write_video(folder / "cut.mp4", np.concatenate([carphone[100:113], carphone[15:0:-1, :, ::-1]]), RATE)
    (folder / "notes.txt").write_text("no video")
    (folder / "bad.mp4").write_text("no video either")
    return folder


@pytest.fixture(scope="module")
def made(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return run(
        raw, tmp_path_factory.mktemp("made") / "set", "split.test=0.3", "split.validation=0.2", "duplicates=null"
    )


def lasting(folder: Path) -> dict[str, str]:
    """Digests of all files but the report, which says how long the work took."""
    return {name: digest for name, digest in contents(folder).items() if name != "report.html"}


def entries_of(folder: Path) -> list[dict]:
    return [entry for path in sorted(folder.glob("*/manifest.jsonl")) for entry in read_manifest(path.parent)]


def test_every_face_gives_clips_of_so_many_frames_and_none_crosses_the_cut(made: Path) -> None:
    starts = {}
    for entry in entries_of(made):
        assert (entry["frames"], entry["height"], entry["width"], entry["rate"]) == (9, 64, 64, "25")
        starts.setdefault(entry["source"], []).append(entry["first_frame"])
    assert {source: sorted(found) for source, found in starts.items()} == {
        "man 1.mp4": [0, 9, 18, 27],
        "deep/man's 2nd.mkv": [0, 9, 18, 27],
        "woman.mp4": [0, 9, 18, 27],
        "cut.mp4": [0, 13],
    }


def test_crops_show_the_face_upright_at_the_template(made: Path) -> None:
    faces = DlibFaces()
    for folder in (path.parent for path in made.glob("*/manifest.jsonl")):
        for sample in read_samples(shard_paths(folder)):
            frames = open_clip(sample[CLEAN]).read(0, 9)
            meta = json.loads(sample[META])
            marks = np.array(meta["landmarks"])
            assert np.abs(marks - TEMPLATE * 64).max() < 6
            # An eye is darker than what lies around it: the crop is where the landmarks say.
            luma = frames[4].mean(-1)
            for x, y in marks[4, :2]:
                row, column = round(y), round(x)
                assert luma[row - 1 : row + 2, column - 1 : column + 2].mean() < luma[row + 8 : row + 14].mean()
            assert len(meta["matrices"]) == 9
    assert faces.file_name == json.loads((made / "prepare.json").read_text())["identity"]["files"][0]


def test_one_person_is_in_one_split_only_however_many_files_show_him(made: Path) -> None:
    splits = {entry["source"]: (entry["split"], entry["group"]) for entry in entries_of(made)}
    assert splits["man 1.mp4"] == splits["deep/man's 2nd.mkv"] == splits["cut.mp4"] == ("train", "cut")
    assert splits["woman.mp4"] == ("test", "woman")


def test_what_is_refused_is_named_and_everything_adds_up(raw: Path, made: Path) -> None:
    lines = [json.loads(line) for line in (made / "rejected.jsonl").read_text().splitlines()]
    reasons = {line["source"]: line["reason"] for line in lines if "reason" in line}
    assert reasons["notes.txt"] == "its suffix .txt is no video's"
    assert reasons["bad.mp4"].startswith("cannot be opened as a video")
    summary = json.loads((made / "summary.json").read_text())
    assert (summary["sources"], summary["sources_refused"], summary["files_ignored"]) == (5, 1, 1)
    assert summary["candidates"] == summary["kept"] == len(entries_of(made)) == 14
    assert summary["refused_by"] == {}
    assert sum(split["clips"] for split in summary["splits"].values()) == 14
    for file in ("prepare.json", "summary.json", "rejected.jsonl", "report.html"):
        assert str(raw) not in (made / file).read_text()


def test_it_is_a_data_set_like_any_other(made: Path) -> None:
    folders = data_sets(made)
    assert folders == [made / "test", made / "train"]
    assert [verify(one) for one in folders] == [[], []]
    with pytest.raises(UserError, match=f"give one of them: {folders[0]} or {folders[1]}"):
        read_manifest(made)
    assert sorted(path.name for path in made.iterdir() if path.is_file()) == [
        "contact_sheet.png",
        "prepare.json",
        "rejected.jsonl",
        "report.html",
        "summary.json",
    ]


def test_filters_refuse_by_name_and_duplicates_stay_once(raw: Path, tmp_path: Path) -> None:
    folder = tmp_path / "twice"
    folder.mkdir()
    for name in ("a.mp4", "b.mp4"):
        (folder / name).hardlink_to(raw / "man 1.mp4")
    made = run(folder, tmp_path / "out")
    assert {entry["source"] for entry in entries_of(made)} == {"a.mp4"}
    assert json.loads((made / "summary.json").read_text())["refused_by"] == {"duplicate": 4}
    strict = ["filters=default", "filters.size.least=2000", "filters.motion.most=0"]
    with pytest.raises(UserError, match="no clip can be made"):
        run(folder, tmp_path / "none", *strict)
    lines = [json.loads(line) for line in (tmp_path / "none" / "rejected.jsonl").read_text().splitlines()]
    assert all({"size", "motion"} <= line["failed"].keys() for line in lines)
    assert len(lines) == 8
    assert "size" in (tmp_path / "none" / "report.html").read_text()
    assert not (tmp_path / "none" / "summary.json").exists()


def test_what_was_given_up_is_tried_again_and_parts_that_nobody_answers_for_are_not_used(
    raw: Path, tmp_path: Path
) -> None:
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    (folder / "woman.mp4").hardlink_to(raw / "woman.mp4")
    (out / ".parts").mkdir(parents=True)
    (out / ".parts" / "woman.jsonl").write_text("{}")
    with pytest.raises(UserError, match="no clip can be made"):
        run(folder, out, "time_limit=1e-6")
    reasons = [json.loads(line)["reason"] for line in (out / "rejected.jsonl").read_text().splitlines()]
    assert reasons == ["gave no sign of life for time_limit=1e-06 seconds"]
    assert len(entries_of(run(folder, out))) == 4


def test_other_settings_are_not_mixed_in(raw: Path, made: Path) -> None:
    said: list[str] = []
    before = contents(made)
    run(raw, made, *DIVIDED, say=said.append)
    assert any("finished before" in line for line in said)
    assert contents(made) == before
    with pytest.raises(UserError, match=r"settings.smoothing: 5.* there, 2.* asked"):
        run(raw, made, *DIVIDED, "smoothing=2")
    with pytest.raises(UserError, match="lie within one another"):
        run(raw, raw / "deep" / "set")


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("clip_frames=16", "clip_frames=16 is not 4k+1, as video autoencoders want it; give 13 or 17"),
        ("jobs=0", "jobs=0: give 1 or more, or -1 for one a core"),
        ("crop.turn=1", "unknown key 'crop.turn'"),
        ("split.test=0.99", "split.validation=0.05 and test=0.99 leave nothing to train on"),
        ("detector=retina", "detector=retina: there is no such variant (one of: best, dlib"),
    ],
)
def test_a_wrong_setting_is_refused_before_any_work(raw: Path, tmp_path: Path, word: str, sentence: str) -> None:
    with pytest.raises(UserError) as caught:
        run(raw, tmp_path / "out", word)
    assert sentence in str(caught.value)
    assert not (tmp_path / "out").exists()


def family(session: int) -> list[int]:
    """Processes of a session that live."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, own = path.read_text().rpartition(") ")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(own) == session and state != "Z":
            found.append(int(path.parent.name))
    return found


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_killed_again_and_again_it_ends_with_the_same_bytes(raw: Path, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command = [sys.executable, "-m", "dvface.cli.main", "prepare", f"input={raw}", f"output={out}"]
    # Where the first process alone writes, one job is enough.
    signs = {".parts/.*.tar": 2, ".parts/*.jsonl": 2, "*/.*.tar": 1, "*/manifest.jsonl": 1}
    for sign, jobs in signs.items():
        process = subprocess.Popen(
            [*command, *QUICK, *DIVIDED, f"jobs={jobs}"], start_new_session=True, stderr=subprocess.DEVNULL
        )
        while not any(out.glob(sign)) and process.poll() is None:
            time.sleep(0.002)
        # Sometimes the whole family, sometimes the first process alone, which the others must follow by themselves.
        (os.kill if sign == ".parts/*.jsonl" else os.killpg)(process.pid, signal.SIGKILL)
        process.wait()
        deadline = time.monotonic() + 120
        while family(process.pid):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert not (out / "summary.json").exists()
    run(raw, out, *DIVIDED)
    assert lasting(out) == lasting(made)


@pytest.mark.slow
def test_a_cluster_writes_the_same_bytes(
    raw: Path, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is the optional extra dvface[cluster]")
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    assert lasting(run(raw, tmp_path / "out", *DIVIDED, "engine=ray", "jobs=2")) == lasting(made)


def test_hostile_files_are_named_or_used_and_end_nothing(carphone: np.ndarray, tmp_path: Path) -> None:
    folder = tmp_path / "hostile"
    folder.mkdir()
    written = hostile.write_all(folder, carphone[:40])
    made = run(folder, tmp_path / "out", "duplicates=null", "identity=none", "split.by=source", "clip_frames=5")
    lines = [json.loads(line) for line in (made / "rejected.jsonl").read_text().splitlines()]
    named = {line["source"] for line in lines}
    used = {entry["source"] for entry in entries_of(made)}
    for kind, path in written.items():
        assert path.name in named | used, kind
    summary = json.loads((made / "summary.json").read_text())
    assert summary["sources"] + summary["files_ignored"] == len(list(folder.iterdir()))
