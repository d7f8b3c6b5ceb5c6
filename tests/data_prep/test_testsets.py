import json
import pickle
import shutil
import zipfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.data_prep.footage import contents

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import validated
from dvface.data.pairing import degrade_once
from dvface.data.shards import read_manifest, verify
from dvface.data_prep.testsets.build import build_testset
from dvface.data_prep.testsets.settings import TestsetSettings
from dvface.data_prep.work import PARTS
from dvface.errors import UserError
from dvface.evaluation.matching import matched
from dvface.video.probe import probe
from dvface.video.read import read_video
from dvface.video.write import EXACT, write_video

CLIP, OTHER = "Clip+G0DGRma_p48+P0+C0+F11208-11383", "Clip+_5rNOD1nsDg+P2+C1+F1-7"
PERSON, VIDEO = "id00017", "01dfn2spqyE"


def settings_of(source: Path, folder: Path, *words: str) -> TestsetSettings:
    chosen = [f"input={source}", f"output={folder}", "degradation=light", "jobs=1", *words]
    return validated(TestsetSettings, resolve(load("testset", chosen)))


def run(source: Path, folder: Path, *words: str, say: Callable[[str], None] = lambda line: None) -> Path:
    """`dvface testset` in this process; returns the test set's folder."""
    build_testset(settings_of(source, folder, *words), say)
    return folder


def rejected(folder: Path) -> dict[str, str]:
    lines = (folder / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    return {line["source"]: line["reason"] for line in map(json.loads, lines)}


def write_frames(folder: Path, frames: np.ndarray, first: int = 1) -> None:
    folder.mkdir(parents=True)
    for number, frame in enumerate(frames, first):
        Image.fromarray(frame).save(folder / f"{number:08d}.png")


def small(frames: np.ndarray) -> np.ndarray:
    """Four times smaller."""
    return np.stack([cv2.resize(frame, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA) for frame in frames])


@pytest.fixture(scope="module")
def faces(carphone: np.ndarray) -> np.ndarray:
    """(120, 64, 64, 3)."""
    return np.ascontiguousarray(carphone[:, 30:94, 50:114])


@pytest.fixture(scope="module")
def vfhq(faces: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips in the official layout."""
    root = tmp_path_factory.mktemp("vfhq")
    for name, frames in ((CLIP, faces[:5]), (OTHER, faces[40:47])):
        write_frames(root / "GT" / name, frames)
        write_frames(root / "LR_Blind" / name, small(frames))
    return root


def test_vfhq_pairs_are_in_step_and_the_small_side_is_enlarged(vfhq: Path, faces: np.ndarray, tmp_path: Path) -> None:
    said: list[str] = []
    out = run(vfhq, tmp_path / "out", say=said.append)
    entries = read_manifest(out)
    keys = ["Clip_G0DGRma_p48_P0_C0_F11208-11383", "Clip__5rNOD1nsDg_P2_C1_F1-7"]
    assert [entry["key"] for entry in entries] == keys
    assert [(e["frames"], e["height"], e["width"], e["rate"]) for e in entries] == [
        (5, 64, 64, "24"),
        (7, 64, 64, "24"),
    ]
    for entry, frames in zip(entries, (faces[:5], faces[40:47]), strict=True):
        assert np.array_equal(read_video(out / entry["clean"]), frames)
        expected = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_CUBIC) for frame in small(frames)]
        degraded = read_video(out / entry["degraded"])
        assert np.array_equal(degraded, np.stack(expected))
        squared = np.square(degraded.astype(float) - frames).mean(axis=(1, 2, 3))
        assert entry["psnr"] == pytest.approx(np.mean(10 * np.log10(255**2 / squared)), abs=1e-3)
        assert probe(out / entry["degraded"]).rate == 24
    assert verify(out) == []
    assert [name for name, _, _ in matched(out / "degraded", out / "clean").pairs] == keys
    assert said[-2:] == ["made 2 clips, 12 frames; rejected 0 inputs", f"wrote: {out}"]


def test_what_is_known_of_the_paper_is_written_down(vfhq: Path, tmp_path: Path) -> None:
    about = json.loads((run(vfhq, tmp_path / "out") / "testset.json").read_text(encoding="utf-8"))
    assert about["protocol"]["_target_"] == "dvface.data_prep.testsets.vfhq.VFHQTest"
    assert "VFHQ" in about["about"]["source"]
    assert all(about["about"][part] for part in ("confirmed", "inferred", "unknown"))
    assert about["input"]["count"] == 4


def test_vfhq_clips_without_a_twin_in_step_are_refused(vfhq: Path, faces: np.ndarray, tmp_path: Path) -> None:
    root = Path(shutil.copytree(vfhq, tmp_path / "in"))
    write_frames(root / "GT" / "alone", faces[:2])
    write_frames(root / "LR_Blind" / "lost", faces[:2])
    write_frames(root / "GT" / "shifted", faces[:3])
    write_frames(root / "LR_Blind" / "shifted", small(faces[:3]), first=2)
    write_frames(root / "GT" / "shape", faces[:3])
    write_frames(root / "LR_Blind" / "shape", small(faces[:3])[:, :8])
    write_frames(root / "GT" / "broken", faces[:3])
    write_frames(root / "LR_Blind" / "broken", small(faces[:3]))
    (root / "LR_Blind" / "broken" / "00000002.png").write_bytes(b"no picture")
    for side, frames in (("GT", faces[:3]), ("LR_Blind", small(faces[:2]))):
        write_video(root / side / "video.mp4", frames, Fraction(30), **EXACT)
    out = run(root, tmp_path / "out")
    assert [entry["source"] for entry in read_manifest(out)] == [CLIP, OTHER]
    assert verify(out) == []
    reasons = rejected(out)
    assert reasons["GT/alone"] == "has no clip of that name in LR_Blind"
    assert reasons["LR_Blind/lost"] == "has no clip of that name in GT"
    assert reasons["shifted"] == "its two sides differ in their frames: 3 and 3, of which 00000001 is on one side only"
    assert reasons["shape"] == "is 16×8, not of the shape of its reference, 64×64"
    assert reasons["broken"] == "frame broken/00000002.png is no readable picture; replace or remove it"
    assert reasons["video"].startswith("its two sides differ in their number of frames")
    assert str(tmp_path) not in "".join(reasons.values())
    assert len(reasons) == 6


def test_folders_that_vfhq_lacks_or_has_twice_are_named(vfhq: Path, faces: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no folder TEST_DATA; give it as protocol\.clean=FOLDER"):
        run(vfhq, tmp_path / "out", "protocol.clean=TEST_DATA")
    for interval in ("Interval1", "Interval5"):
        write_frames(tmp_path / "in" / "GT" / interval / CLIP, faces[:3])
    write_frames(tmp_path / "in" / "LR_Blind" / CLIP, small(faces[:3]))
    with pytest.raises(UserError, match=r"holds Clip.* twice, as Interval1/.* and as Interval5/"):
        run(tmp_path / "in", tmp_path / "out")
    out = run(tmp_path / "in", tmp_path / "out", "protocol.clean=GT/Interval1")
    assert len(read_manifest(out)) == 1


@pytest.fixture(scope="module")
def hdtf(faces: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings of 3 and 4 clips of 5 frames, one of them in two files; and what does not fit."""
    root = tmp_path_factory.mktemp("hdtf")
    write_video(root / "WDA_BarackObama_000.mp4", faces[:17], Fraction(25), **EXACT)
    write_video(root / "RD_Radio10_000.mp4", faces[20:30], Fraction(30), **EXACT)
    write_video(root / "RD_Radio10_001.mp4", faces[40:50], Fraction(30), **EXACT)
    write_video(root / "WRA_Short_000.mp4", faces[:4], Fraction(25))
    write_video(root / "WRA_Small_000.mp4", faces[:9, :32, :32], Fraction(25))
    write_video(root / "WRA_Wide_000.mp4", faces[:9, :48], Fraction(25))
    write_video(root / "someone.mp4", faces[:9], Fraction(25))
    (root / "WRA_Text_000.mp4").write_text("no video")
    return root


HDTF = ("protocol=hdtf", "protocol.clip_frames=5", "protocol.size=64")


def test_hdtf_clips_are_drawn_from_each_recording_and_degraded_with_the_recipe(
    hdtf: Path, faces: np.ndarray, tmp_path: Path
) -> None:
    out = run(hdtf, tmp_path / "out", *HDTF, "protocol.clips_per_recording=2", "seed=3")
    entries = read_manifest(out)
    assert verify(out) == []
    recordings = [entry["source"].rsplit("_", 1)[0] for entry in entries]
    assert sorted(recordings) == ["RD_Radio10", "RD_Radio10", "WDA_BarackObama", "WDA_BarackObama"]
    recipe = build(resolve(load("degrade", ["input=a", "output=b", "degradation=light"]))["degradation"])
    for entry in entries:
        at = {"WDA_BarackObama_000.mp4": 0, "RD_Radio10_000.mp4": 20, "RD_Radio10_001.mp4": 40}[entry["source"]]
        start = entry["first_frame"]
        assert start % 5 == 0
        assert entry["key"] == f"{Path(entry['source']).stem}-{start:06d}"
        clean = faces[at + start : at + start + 5]
        assert np.array_equal(read_video(out / entry["clean"]), clean)
        degraded, record = degrade_once(recipe, clean, 3, entry["key"])
        assert np.array_equal(read_video(out / entry["degraded"]), degraded)
        assert entry["record"] == json.loads(json.dumps(record))
        assert entry["rate"] == ("25" if at == 0 else "30")
    reasons = rejected(out)
    assert reasons.pop("WRA_Text_000.mp4").startswith("cannot be opened as a video")
    assert reasons == {
        "WRA_Short_000.mp4": "is too short: 4 of clip_frames=5 frames",
        "WRA_Small_000.mp4": "is 32×32, smaller than size=64; give larger footage or lower protocol.size",
        "WRA_Wide_000.mp4": "is 64×48, no square crop of a face; crop it with HDTF's own lists first",
        "someone.mp4": "does not fit the layout: a name such as WDA_BarackObama_000 or RD_Radio10_000 is expected",
    }


def test_the_seed_decides_which_clips_are_drawn_and_more_keep_the_earlier(hdtf: Path, tmp_path: Path) -> None:
    def drawn(seed: int, most: int) -> set[str]:
        words = *HDTF, f"seed={seed}", f"protocol.clips_per_recording={most}", "degradation=none"
        return {entry["key"] for entry in read_manifest(run(hdtf, tmp_path / f"{seed}-{most}", *words))}

    few, more = [drawn(seed, 1) for seed in range(4)], [drawn(seed, 2) for seed in range(4)]
    assert [(len(one), len(other)) for one, other in zip(few, more, strict=True)] == [(2, 4)] * 4
    assert len(set(map(frozenset, few))) > 1
    assert all(one < other for one, other in zip(few, more, strict=True))


def test_larger_hdtf_videos_are_shrunk_and_archives_are_read(faces: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "WDA_A_000.mp4", faces[:6], Fraction(25), **EXACT)
    with zipfile.ZipFile(tmp_path / "in" / "x.zip", "w") as archive:
        archive.write(tmp_path / "WDA_A_000.mp4", "WDA_A_000.mp4")
        archive.writestr("WDA_B_000.mp4", b"no video")
    out = run(tmp_path / "in", tmp_path / "out", *HDTF, "protocol.size=32", "degradation=none")
    (entry,) = read_manifest(out)
    start = entry["first_frame"]
    expected = [cv2.resize(frame, (32, 32), interpolation=cv2.INTER_AREA) for frame in faces[start : start + 5]]
    assert np.array_equal(read_video(out / entry["clean"]), np.stack(expected))
    assert entry["source"] == "x.zip/WDA_A_000.mp4"
    assert rejected(out)["x.zip/WDA_B_000.mp4"].startswith("cannot be opened as a video")


def test_rfv_lq_has_no_reference(faces: np.ndarray, tmp_path: Path) -> None:
    write_frames(tmp_path / "in" / "track 1", small(faces[:4]))
    write_video(tmp_path / "in" / "2.mp4", faces[:3], Fraction(25), **EXACT)
    write_video(tmp_path / "in" / "wide.mp4", faces[:3, :32], Fraction(25), **EXACT)
    out = run(tmp_path / "in", tmp_path / "out", "protocol=rfv_lq", "protocol.size=64")
    one, other = read_manifest(out)
    assert (one["key"], one["rate"], one["frames"]) == ("2", "25", 3)
    assert (other["key"], other["rate"], other["frames"]) == ("track_1", "24", 4)
    assert "clean" not in one
    assert not (out / "clean").exists()
    assert one["degraded_stored"] is True
    assert np.array_equal(read_video(out / "degraded" / "2.mp4"), faces[:3])
    expected = [cv2.resize(frame, (64, 64), interpolation=cv2.INTER_CUBIC) for frame in small(faces[:4])]
    assert np.array_equal(read_video(out / "degraded" / "track_1.mp4"), np.stack(expected))
    assert verify(out) == []
    assert rejected(out) == {"wide.mp4": "is 64×32, no square crop of a face; crop it first"}
    (out / "degraded" / "2.mp4").unlink()
    assert verify(out) == ["degraded/2.mp4 is missing"]


def test_voxceleb2_takes_drawn_test_people_only(faces: np.ndarray, tmp_path: Path) -> None:
    for split, count in (("test", 6), ("dev", 2)):
        folder = tmp_path / "in" / split / "mp4" / PERSON / VIDEO
        folder.mkdir(parents=True)
        for number in range(count):
            write_video(folder / f"{number:05d}.mp4", faces[number : number + 2], Fraction(25))
    words = "protocol=voxceleb2", "protocol.size=64"
    few, more, other = (
        {entry["source"] for entry in read_manifest(run(tmp_path / "in", tmp_path / name, *words, *more))}
        for name, more in (
            ("few", ["protocol.videos=2"]),
            ("more", ["protocol.videos=4"]),
            ("other", ["protocol.videos=4", "seed=1"]),
        )
    )
    assert (len(few), len(more), few < more, other != more) == (2, 4, True, True)
    assert all(name.startswith("test/mp4/") for name in few | more | other)
    assert rejected(tmp_path / "few") == {"dev": "2 videos of training people are no part of a test set"}
    assert len(read_manifest(run(tmp_path / "in", tmp_path / "all", *words, "protocol.videos=null"))) == 6
    shutil.rmtree(tmp_path / "in" / "test")
    with pytest.raises(UserError, match="holds no video below test/mp4"):
        run(tmp_path / "in", tmp_path / "none", *words)


def test_a_killed_run_goes_on_clip_by_clip_to_the_same_bytes(hdtf: Path, tmp_path: Path) -> None:
    words = *HDTF, "protocol.clips_per_recording=2"
    whole = run(hdtf, tmp_path / "whole", *words)
    out = tmp_path / "out"
    killed = run(hdtf, out, *words)
    # As a run leaves it that is killed after its second clip, in the middle of the third.
    entries = read_manifest(killed)
    (out / PARTS).mkdir()
    for entry in entries[:2]:
        (out / PARTS / f"{entry['key']}.json").write_text(json.dumps(entry), encoding="utf-8")
    for entry in entries[2:]:
        (out / entry["degraded"]).unlink()
        (out / entry["clean"]).unlink()
    (out / "manifest.jsonl").unlink()
    (out / "clean" / ".half-done.mp4").write_bytes(b"x")
    before = {entry["key"]: (out / entry["clean"]).stat().st_mtime_ns for entry in entries[:2]}
    run(hdtf, out, *words)
    assert contents(out) == contents(whole)
    assert {entry["key"]: (out / entry["clean"]).stat().st_mtime_ns for entry in entries[:2]} == before
    said: list[str] = []
    run(hdtf, out, *words, say=said.append)
    assert said[0].startswith("finished before: 4 clips")
    assert contents(out) == contents(whole)


def test_clips_travel_to_other_processes(vfhq: Path, hdtf: Path, tmp_path: Path) -> None:
    for root, words in ((vfhq, ()), (hdtf, HDTF)):
        plan = build(settings_of(root, tmp_path / "out", *words).protocol).plan(root, 0, tmp_path)
        item, far = plan.items[0], pickle.loads(pickle.dumps(plan.items[0]))
        with item.open(tmp_path) as one, far.open(tmp_path) as other:
            assert np.array_equal(np.stack(list(one.degraded())), np.stack(list(other.degraded())))


def test_wrong_settings_are_named(vfhq: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="lie within one another"):
        run(vfhq, vfhq / "out")
    with pytest.raises(UserError, match=r"protocol=hdft.*did you mean 'hdtf'"):
        run(vfhq, tmp_path / "out", "protocol=hdft")
    with pytest.raises(UserError, match="clip_frames, clips_per_recording and size must be 1 or more"):
        run(vfhq, tmp_path / "out", "protocol=hdtf", "protocol.clips_per_recording=0")
    with pytest.raises(UserError, match="does not exist"):
        run(tmp_path / "nowhere", tmp_path / "out", "protocol=rfv_lq")
    out = run(vfhq, tmp_path / "out")
    with pytest.raises(UserError, match=r"is a data set of other settings.*seed: 0 there, 1 asked"):
        run(vfhq, out, "seed=1")
