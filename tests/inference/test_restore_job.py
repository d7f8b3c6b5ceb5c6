import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from tests.inference.face_videos import face_of, marks_at

from dvface.config.compose import load, resolve
from dvface.errors import UserError
from dvface.inference.folder import restore_folder
from dvface.inference.job import PIECE_WINDOWS, restore_file, restore_frames
from dvface.inference.options import RestoreOptions, RestoreReport
from dvface.inference.part import Part
from dvface.inference.plan import plan
from dvface.models.model_folder import SMALL, model_folder
from dvface.models.restorer import Restorer
from dvface.perception.detection import FaceDetector
from dvface.video.probe import probe
from dvface.video.read import read_frames, read_video
from dvface.video.write import EXACT, write_video

SHORT = RestoreOptions(mode="aligned", window=5, overlap=1)


def no_detector() -> FaceDetector:
    raise AssertionError("nobody should look for faces")


class NoFaces:
    """A detector that sees nothing."""

    name = "nothing"
    files = ()

    def detect(self, frames: list[np.ndarray]) -> list[list]:
        return [[] for _ in frames]


def moving(count: int, height: int = 32, width: int = 48) -> np.ndarray:
    """A bright square that wanders."""
    frames = np.full((count, height, width, 3), 60, np.uint8)
    for number, frame in enumerate(frames):
        left = number % (width - 12)
        frame[8:20, left : left + 12] = 200
    return frames


class Interrupted(Exception):
    """Stands for Ctrl-C."""


def stopping_after(frames: int) -> Callable:
    """A watch that interrupts the restoration when so many frames are done."""

    @contextmanager
    def watch(title: str, total: int | None, start: int) -> Iterator:
        class Bar:
            done = start

            def advance(self, units: int = 1) -> None:
                self.done += units
                if title == "restore" and self.done >= frames:
                    raise Interrupted

        yield Bar()

    return watch


def test_a_file_is_restored_at_its_own_size_rate_and_length(
    smallest_model: Restorer, carphone: np.ndarray, tmp_path: Path
) -> None:
    source, target = tmp_path / "old video.mp4", tmp_path / "new.mp4"
    write_video(source, carphone[:7, :50, :70], Fraction(24000, 1001))
    report = restore_file(smallest_model, source, target, SHORT, no_detector)
    assert (report.frames, report.mode, report.faces) == (7, "aligned", None)
    before, after = read_video(source), read_video(target)
    assert after.shape == before.shape
    assert probe(target).rate == Fraction(24000, 1001)
    assert np.abs(after.astype(int) - before).mean() < 3  # untrained: the identity, up to one more encoding
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.mp4", "old video.mp4"]


@pytest.fixture(scope="module")
def small() -> Restorer:
    """The model that ships: what it makes of a frame depends on where the frame lies in its window."""
    return Restorer.from_pretrained(model_folder(SMALL))


class OneFace:
    """Sees the face of the packaged clip, which hardly moves."""

    name, files = "one face", ()

    def detect(self, frames: list[np.ndarray]) -> list[list]:
        return [[face_of(marks_at(86, 72, 100))] for _ in frames]


@pytest.mark.parametrize(("changes", "height", "width"), [({"mode": "aligned"}, 32, 48), ({"mode": "faces"}, 144, 176)])
def test_an_interrupted_job_goes_on_to_the_same_result(
    changes: dict, height: int, width: int, small: Restorer, carphone: np.ndarray, tmp_path: Path
) -> None:
    source = tmp_path / "long.mkv"
    piece = PIECE_WINDOWS * 4
    options = RestoreOptions(window=5, overlap=1, codec="ffv1", **changes)
    write_video(source, np.concatenate((carphone, carphone))[: piece + 11, :height, :width], Fraction(25), **EXACT)
    whole = restore_file(small, source, tmp_path / "whole.mkv", options, OneFace)
    target = tmp_path / "resumed.mkv"
    with pytest.raises(Interrupted):
        restore_file(small, source, target, options, OneFace, stopping_after(piece + 5))
    left = tmp_path / "resumed.mkv.part"
    pieces = sorted(left.glob("*.mkv"))
    assert not target.exists()
    assert len(pieces) == 1
    assert len(list(read_frames(pieces[0]))) == piece  # it plays by itself
    said: list[str] = []
    report = restore_file(small, source, target, options, OneFace, say=said.append)
    assert any("goes on behind piece 1" in line for line in said)
    assert report.frames == whole.frames == piece + 11
    restored = read_video(target)
    assert np.array_equal(restored, read_video(tmp_path / "whole.mkv"))
    assert not np.array_equal(restored[piece:], read_video(source)[piece:])
    assert not left.exists()


def test_an_interruption_before_the_first_piece_leaves_nothing(smallest_model: Restorer, tmp_path: Path) -> None:
    source = tmp_path / "long.mp4"
    write_video(source, moving(20), Fraction(25))
    with pytest.raises(Interrupted):
        restore_file(smallest_model, source, tmp_path / "new.mp4", SHORT, no_detector, stopping_after(3))
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


def test_progress_is_told_window_by_window(smallest_model: Restorer) -> None:
    told: list[int] = []

    @contextmanager
    def watch(title: str, total: int | None, start: int) -> Iterator:
        class Bar:
            def advance(self, units: int = 1) -> None:
                told.append(units)

        yield Bar()

    restored = restore_frames(smallest_model, moving(18), SHORT, no_detector, watch)
    assert len(restored) == sum(told) == 18
    assert told == [4, 4, 4, 4, 2]  # single frames would come in bursts, from which no time left can be told


@pytest.fixture
def interrupted(smallest_model: Restorer, tmp_path: Path) -> Path:
    """The output of a job that has left one piece."""
    source, target = tmp_path / "long.mp4", tmp_path / "new.mp4"
    write_video(source, moving(PIECE_WINDOWS * 4 + 9), Fraction(25))
    with pytest.raises(Interrupted):
        restore_file(smallest_model, source, target, SHORT, no_detector, stopping_after(PIECE_WINDOWS * 4 + 2))
    return target


@pytest.mark.parametrize("change", ["fidelity", "detector", "model", "input"])
def test_what_another_job_left_is_neither_taken_over_nor_lost(
    change: str, smallest_model: Restorer, small: Restorer, interrupted: Path
) -> None:
    source, left = interrupted.with_name("long.mp4"), interrupted.with_name("new.mp4.part")
    options = dataclasses.replace(SHORT, fidelity=1.0) if change == "fidelity" else SHORT
    if change == "detector":
        options = dataclasses.replace(SHORT, mode="faces")
    if change == "input":
        write_video(source, moving(PIECE_WINDOWS * 4 + 8), Fraction(25))
    model = small if change == "model" else smallest_model
    with pytest.raises(UserError, match="holds 1 pieces that were made from another input"):
        restore_file(model, source, interrupted, options, NoFaces)
    assert (left / "00000.mp4").is_file()
    anew = dataclasses.replace(options, overwrite=True)
    said: list[str] = []
    report = restore_file(model, source, interrupted, anew, NoFaces, say=said.append)
    assert any("starts anew" in line for line in said)
    assert report.frames == len(read_video(source))


def test_a_mistake_in_a_setting_costs_no_piece(smallest_model: Restorer, interrupted: Path) -> None:
    wrong = dataclasses.replace(SHORT, window=6, overwrite=True)
    with pytest.raises(UserError, match="window=6"):
        restore_file(smallest_model, interrupted.with_name("long.mp4"), interrupted, wrong, no_detector)
    assert (interrupted.with_name("new.mp4.part") / "00000.mp4").is_file()


def test_a_damaged_piece_is_made_anew(smallest_model: Restorer, interrupted: Path) -> None:
    (interrupted.with_name("new.mp4.part") / "00000.mp4").write_bytes(b"")
    report = restore_file(smallest_model, interrupted.with_name("long.mp4"), interrupted, SHORT, no_detector)
    assert report.frames == PIECE_WINDOWS * 4 + 9
    assert any("damaged" in note for note in report.notes)


def test_two_processes_do_not_write_one_output(tmp_path: Path) -> None:
    first, second = (Part(tmp_path / "new.mp4", {}, ".mp4") for _ in range(2))
    with first.begun(), pytest.raises(UserError, match="another dvface writes this output"), second.begun():
        pass
    assert not (tmp_path / "new.mp4.part").exists() or not first.pieces()


def test_a_folder_in_the_way_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "new.mp4.part").mkdir()
    (tmp_path / "new.mp4.part" / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="in the way"), Part(tmp_path / "new.mp4", {}, ".mp4").begun():
        pass
    assert (tmp_path / "new.mp4.part" / "diary.txt").read_text() == "mine"


def test_a_folder_that_holds_anything_but_pictures_is_never_replaced(
    smallest_model: Restorer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    videos = tmp_path / "videos"
    videos.mkdir()
    write_video(videos / "old.mp4", moving(3), Fraction(25))
    monkeypatch.chdir(videos)
    for output in (videos, Path(), tmp_path):
        with pytest.raises(UserError, match="holds other things"):
            restore_file(
                smallest_model, videos / "old.mp4", output, dataclasses.replace(SHORT, overwrite=True), no_detector
            )
    assert [path.name for path in videos.iterdir()] == ["old.mp4"]
    empty = tmp_path / "empty"
    empty.mkdir()
    assert restore_file(smallest_model, videos / "old.mp4", empty, SHORT, no_detector).frames == 3
    assert len(list(empty.iterdir())) == 3
    with pytest.raises(UserError, match="overwrite=true"):
        restore_file(smallest_model, videos / "old.mp4", empty, SHORT, no_detector)


def test_nothing_is_overwritten_unless_said_and_a_failure_leaves_nothing(
    smallest_model: Restorer, tmp_path: Path
) -> None:
    text, video, taken = tmp_path / "text.mp4", tmp_path / "video.mp4", tmp_path / "taken.mp4"
    text.write_text("no video")
    taken.write_text("mine")
    write_video(video, moving(3), Fraction(25))

    def restore(source: Path, target: Path, **changes: object) -> RestoreReport:
        return restore_file(smallest_model, source, target, dataclasses.replace(SHORT, **changes), no_detector)

    for source, target, fault in (
        (text, tmp_path / "out.mp4", r"text\.mp4"),
        (video, video, "input itself"),
        (video, taken, "overwrite=true"),
        (tmp_path / "missing.mp4", tmp_path / "out.mp4", "does not exist"),
        (video, tmp_path / "out.txt", "suffix"),
    ):
        with pytest.raises(UserError, match=fault):
            restore(source, target)
    with pytest.raises(UserError, match="mean nothing"):
        restore(video, tmp_path / "pictures", codec="h265")
    with pytest.raises(UserError, match="window"):
        restore(video, tmp_path / "out.mp4", window=6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["taken.mp4", "text.mp4", "video.mp4"]
    assert taken.read_text() == "mine"
    assert restore(video, taken, overwrite=True).frames == 3
    assert len(read_video(taken)) == 3


def test_a_clip_without_a_face_is_passed_through_byte_by_byte(smallest_model: Restorer, tmp_path: Path) -> None:
    source = tmp_path / "wall.mp4"
    write_video(source, moving(12), Fraction(25))
    report = restore_file(smallest_model, source, tmp_path / "new.mp4", RestoreOptions(), NoFaces)
    assert (report.mode, report.frames, report.faces) == ("none", 12, 0)
    assert "No face" in report.reason
    assert (tmp_path / "new.mp4").read_bytes() == source.read_bytes()
    restore_file(smallest_model, source, tmp_path / "new.mkv", RestoreOptions(), NoFaces)
    before, after = read_video(source).astype(int), read_video(tmp_path / "new.mkv")
    assert np.abs(before - after).mean() < 2


def test_a_name_without_a_suffix_makes_numbered_pictures(smallest_model: Restorer, tmp_path: Path) -> None:
    source, target = tmp_path / "clip.mp4", tmp_path / "frames"
    write_video(source, moving(PIECE_WINDOWS * 4 + 2), Fraction(25))
    restore_file(smallest_model, source, target, SHORT, no_detector)
    names = sorted(path.name for path in target.iterdir())
    assert names[0] == "000000.png"
    assert len(names) == PIECE_WINDOWS * 4 + 2
    slower = dataclasses.replace(SHORT, rate=12.5)
    again = restore_file(smallest_model, target, tmp_path / "back.mkv", slower, no_detector)
    assert again.frames == len(names)
    assert probe(tmp_path / "back.mkv").rate == Fraction(25, 2)


@pytest.mark.parametrize(("export", "width"), [("side_by_side", 96), ("split", 48)])
def test_the_input_can_be_shown_beside_the_result(
    export: str, width: int, smallest_model: Restorer, tmp_path: Path
) -> None:
    source = tmp_path / "clip.mp4"
    write_video(source, moving(6), Fraction(25))
    options = dataclasses.replace(SHORT, export=export)
    restore_file(smallest_model, source, tmp_path / "seen.mp4", options, no_detector)
    assert read_video(tmp_path / "seen.mp4").shape == (6, 32, width, 3)


def test_a_folder_is_restored_video_by_video(smallest_model: Restorer, tmp_path: Path) -> None:
    source, target = tmp_path / "in", tmp_path / "out"
    (source / "deep").mkdir(parents=True)
    for name in ("a.mp4", "a.avi", "deep/b.mp4", "deep/c.ts"):
        write_video(source / name, moving(5), Fraction(25))
    (source / "bad.mp4").write_text("no video")
    (source / "notes.txt").write_text("no video either")
    said: list[str] = []

    def one(video: Path, output: Path) -> RestoreReport:
        return restore_file(smallest_model, video, output, SHORT, no_detector)

    report = restore_folder(source, target, False, one, said.append)
    assert sorted(report.restored) == ["a.avi", "a.mp4", "deep/b.mp4", "deep/c.ts"]
    assert list(report.refused) == ["bad.mp4"]
    files = sorted(str(path.relative_to(target)) for path in target.rglob("*.*"))
    assert files == ["a.avi.mp4", "a.mp4", "deep/b.mp4", "deep/c.mp4"]
    assert len(read_video(target / "deep" / "b.mp4")) == 5
    (target / "a.mp4").unlink()
    again = restore_folder(source, target, False, one, said.append)
    assert (sorted(again.restored), again.present) == (["a.mp4"], ("a.avi", "deep/b.mp4", "deep/c.ts"))
    with pytest.raises(UserError, match="within"):
        restore_folder(source, source / "out", False, one, said.append)
    (target / "deep" / "nothing").mkdir()
    with pytest.raises(UserError, match="no videos"):
        restore_folder(target / "deep" / "nothing", tmp_path / "other", False, one, said.append)


def test_a_plan_says_what_would_be_done_and_writes_nothing(smallest_model: Restorer, tmp_path: Path) -> None:
    source = tmp_path / "clip.mp4"
    write_video(source, moving(23), Fraction(30))
    found = plan(smallest_model, source, tmp_path / "new.mp4", SHORT, no_detector)
    assert (found.frames, found.width, found.height, found.mode, found.faces) == (23, 48, 32, "aligned", None)
    assert found.windows == 6  # windows of 5 that share 1: starts at 0, 4, … 20
    assert found.seconds is not None
    assert found.seconds > 0
    assert found.memory > 1e8
    assert [path.name for path in tmp_path.iterdir()] == ["clip.mp4"]


def test_the_defaults_of_the_command_and_of_the_python_call_are_the_same() -> None:
    settings = resolve(load("restore", ["input=a", "output=b"]))
    assert {name: settings[name] for name in vars(RestoreOptions())} == vars(RestoreOptions())
