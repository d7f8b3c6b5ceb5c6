from pathlib import Path

import pytest

from dvface.errors import UserError
from dvface.evaluation.matching import matched


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def names(found):
    return [name for name, _, _ in found.pairs]


def test_videos_and_folders_of_frames_are_matched_by_name(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "one.mp4", tmp_path / "a" / "two.mkv", tmp_path / "a" / "alone.mp4")
    touch(tmp_path / "b" / "one" / "0.png", tmp_path / "b" / "two.mov", tmp_path / "b" / "other.mp4")
    found = matched(tmp_path / "a", tmp_path / "b")
    assert names(found) == ["one", "two"]
    assert found.alone == ["alone: no reference of that name", "other: no restored video of that name"]


def test_two_single_videos_need_no_common_name(tmp_path: Path) -> None:
    touch(tmp_path / "ours.mp4", tmp_path / "theirs" / "0.png")
    assert names(matched(tmp_path / "ours.mp4", tmp_path / "theirs")) == ["ours"]


def test_a_dot_in_a_folder_of_frames_is_part_of_its_name(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "clip.01" / "0.png", tmp_path / "a" / "clip.02" / "0.png", tmp_path / "b" / "clip.02.mp4")
    assert names(matched(tmp_path / "a", tmp_path / "b")) == ["clip.02"]


def test_a_picture_beside_videos_and_hidden_or_empty_folders_are_no_clips(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "one.mp4", tmp_path / "a" / "cover.png", tmp_path / "a" / ".hidden.mp4")
    (tmp_path / "a" / "empty").mkdir()
    assert names(matched(tmp_path / "a", None)) == ["one"]


def test_what_cannot_be_matched_is_refused(tmp_path: Path) -> None:
    touch(tmp_path / "a" / "x.mp4", tmp_path / "b" / "y.mp4", tmp_path / "c" / "x.mp4", tmp_path / "c" / "x.mkv")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no video has the same name"):
        matched(tmp_path / "a", tmp_path / "b")
    with pytest.raises(UserError, match="have the same name; rename one"):
        matched(tmp_path / "c", tmp_path / "a")
    with pytest.raises(UserError, match=r"reference=.*does not exist"):
        matched(tmp_path / "a", tmp_path / "nowhere")
    with pytest.raises(UserError, match="holds no video"):
        matched(tmp_path / "empty", None)
