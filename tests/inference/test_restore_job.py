import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from dvface.config.compose import load, resolve
from dvface.errors import UserError
from dvface.inference.folder import restore_folder
from dvface.inference.job import PIECE_WINDOWS, restore_file
from dvface.inference.options import RestoreOptions, RestoreReport
from dvface.inference.part import Part
from dvface.inference.plan import plan
from dvface.models.restorer import Restorer
from dvface.perception.detection import FaceDetector
from dvface.video.probe import probe
from dvface.video.read import read_frames, read_video
from dvface.video.write import write_video

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
                if title == "restore" and self.done == frames:
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


def test_an_interrupted_job_goes_on_to_the_same_result(smallest_model: Restorer, tmp_path: Path) -> None:
    source = tmp_path / "long.mp4"
    piece = PIECE_WINDOWS * 4
    write_video(source, moving(2 * piece + 11), Fraction(25))
    whole = restore_file(smallest_model, source, tmp_path / "whole.mp4", SHORT, no_detector)
    target = tmp_path / "resumed.mp4"
    with pytest.raises(Interrupted):
        restore_file(smallest_model, source, target, SHORT, no_detector, stopping_after(piece + 5))
    left = tmp_path / "resumed.mp4.part"
    pieces = sorted(left.glob("*.mp4"))
    assert not target.exists()
    assert len(pieces) == 1
    assert len(list(read_frames(pieces[0]))) == piece  # it plays by itself
    report = restore_file(smallest_model, source, target, SHORT, no_detector)
    assert any("goes on behind piece 1" in note for note in report.notes)
    assert report.frames == whole.frames == 2 * piece + 11
    assert np.array_equal(read_video(target), read_video(tmp_path / "whole.mp4"))
    assert not left.exists()


def test_an_interruption_before_the_first_piece_leaves_nothing(smallest_model: Restorer, tmp_path: Path) -> None:
    source = tmp_path / "long.mp4"
    write_video(source, moving(20), Fraction(25))
    with pytest.raises(Interrupted):
        restore_file(smallest_model, source, tmp_path / "new.mp4", SHORT, no_detector, stopping_after(3))
    assert [path.name for path in tmp_path.iterdir()] == ["long.mp4"]


def test_what_another_job_left_is_not_taken_over(smallest_model: Restorer, tmp_path: Path) -> None:
    source, target = tmp_path / "long.mp4", tmp_path / "new.mp4"
    write_video(source, moving(PIECE_WINDOWS * 4 + 9), Fraction(25))
    with pytest.raises(Interrupted):
        restore_file(smallest_model, source, target, SHORT, no_detector, stopping_after(PIECE_WINDOWS * 4 + 2))
    other = dataclasses.replace(SHORT, fidelity=1.0)
    report = restore_file(smallest_model, source, target, other, no_detector)
    assert any("starts anew" in note for note in report.notes)
    assert report.frames == PIECE_WINDOWS * 4 + 9


def test_a_folder_in_the_way_is_not_deleted(tmp_path: Path) -> None:
    (tmp_path / "new.mp4.part").mkdir()
    (tmp_path / "new.mp4.part" / "diary.txt").write_text("mine")
    with pytest.raises(UserError, match="in the way"):
        Part(tmp_path / "new.mp4", {}, ".mp4").begin()
    assert (tmp_path / "new.mp4.part" / "diary.txt").read_text() == "mine"


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
    again = restore_file(smallest_model, target, tmp_path / "back.mkv", SHORT, no_detector)
    assert again.frames == len(names)


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
    for name in ("a.mp4", "deep/b.mp4"):
        write_video(source / name, moving(5), Fraction(25))
    (source / "bad.mp4").write_text("no video")
    (source / "notes.txt").write_text("no video either")
    said: list[str] = []

    def one(video: Path, output: Path) -> RestoreReport:
        return restore_file(smallest_model, video, output, SHORT, no_detector)

    report = restore_folder(source, target, False, one, said.append)
    assert sorted(report.restored) == ["a.mp4", "deep/b.mp4"]
    assert list(report.refused) == ["bad.mp4"]
    assert len(read_video(target / "deep" / "b.mp4")) == 5
    (target / "a.mp4").unlink()
    again = restore_folder(source, target, False, one, said.append)
    assert (sorted(again.restored), again.present) == (["a.mp4"], ("deep/b.mp4",))
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
