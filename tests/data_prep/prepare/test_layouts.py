import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from dvface.config.build import build
from dvface.config.compose import folder, groups
from dvface.config.schema import check_arguments
from dvface.data_prep.prepare.layouts.folder import RFVLQ, AnyFolder, FrameFolders, SplitFolders
from dvface.data_prep.prepare.layouts.named import HDTF, VFHQ, CelebVHQ, VoxCeleb2
from dvface.data_prep.prepare.names import keys, safe, shown
from dvface.data_prep.prepare.source import Layout, Origin
from dvface.errors import UserError


def lay(root: Path, *names: str) -> Path:
    """Files of one byte under these names; a name that ends with / is a folder."""
    for name in names:
        path = root / name
        (path if name.endswith("/") else path.parent).mkdir(parents=True, exist_ok=True)
        if not name.endswith("/"):
            path.write_bytes(b"x")
    return root


def test_every_file_is_a_source_or_has_a_reason(tmp_path: Path) -> None:
    lay(tmp_path, "b/a clip.MP4", "b/deep/б.mkv", "pictures/1.png", "pictures/10.JPG", "pictures/notes.txt")
    lay(tmp_path, "both/a.mov", "both/a.png", "README", "x.rar", ".hidden.mp4", ".git/x.mp4", "empty/")
    (tmp_path / "gone.mp4").symlink_to(tmp_path / "nowhere.mp4")
    os.mkfifo(tmp_path / "pipe.mp4")
    sources, rejected = AnyFolder().find(tmp_path)
    assert [(source.key, source.name, source.size) for source in sources] == [
        ("b_a_clip", "b/a clip.MP4", 1),
        ("b_deep_б", "b/deep/б.mkv", 1),
        ("both_a", "both/a.mov", 1),
        ("pictures", "pictures", 2),
    ]
    assert [source.path for source in sources][:2] == [tmp_path / "b/a clip.MP4", tmp_path / "b/deep/б.mkv"]
    assert {source.member for source in sources} == {None}
    assert {source.origin for source in sources} == {
        Origin(recording) for recording in ("b/a clip", "b/deep/б", "both/a", "pictures")
    }
    assert {one.source: one.reason for one in rejected} == {
        "README": "has no suffix of a video",
        "both": "holds pictures beside videos; only its videos are taken",
        "gone.mp4": "is a broken link",
        "pictures/notes.txt": "its suffix .txt is no video's",
        "pipe.mp4": "is no regular file",
        "x.rar": "is an archive that cannot be read here; unpack it first",
    }


def test_a_file_or_a_folder_of_frames_may_be_the_input_itself(tmp_path: Path) -> None:
    lay(tmp_path, "one.mp4", "frames/0.png", "frames/1.png")
    ((single,), none) = AnyFolder().find(tmp_path / "one.mp4")
    assert (single.key, single.name, single.path, none) == ("one", "one.mp4", tmp_path / "one.mp4", [])
    ((frames,), _) = AnyFolder().find(tmp_path / "frames")
    assert (frames.key, frames.name, frames.path) == ("frames", "frames", tmp_path / "frames")


def test_links_that_go_round_are_left_and_every_folder_is_walked_once(tmp_path: Path) -> None:
    lay(tmp_path / "in", "b/x.mp4", "c/y.mp4")
    lay(tmp_path / "elsewhere", "z.mp4")
    for link, target in {"a": "in/b", "b/up": "in", "b/side": "in/c", "c/side": "in/b", "out": "elsewhere"}.items():
        (tmp_path / "in" / link).symlink_to(tmp_path / target)
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in" / "self")
    sources, rejected = AnyFolder().find(tmp_path / "in")
    assert [source.name for source in sources] == ["b/x.mp4", "c/y.mp4", "out/z.mp4"]
    reasons = {one.source: one.reason for one in rejected}
    assert reasons.pop("self") == "cannot be read (Too many levels of symbolic links)"
    assert set(reasons) == {"a", "b/up", "b/side", "c/side"}
    assert reasons["a"] == "is a link to the folder b, which is taken already"


def test_a_video_is_taken_once_however_many_links_lead_to_it(tmp_path: Path) -> None:
    lay(tmp_path / "in", "b.mp4", ".hidden/blob", "c/frames/0.png", "notes.txt")
    lay(tmp_path, "outside.mp4")
    links = {"a.mp4": "in/b.mp4", "c/d.mkv": "in/b.mp4", "e.mp4": "outside.mp4", "f.mp4": "in/.hidden/blob"}
    links |= {"c/frames/1.png": "in/c/frames/0.png", "other.txt": "in/notes.txt"}
    for link, target in links.items():
        (tmp_path / "in" / link).symlink_to(tmp_path / target)
    os.link(tmp_path / "in/b.mp4", tmp_path / "in/hard.mp4")
    sources, rejected = AnyFolder().find(tmp_path / "in")
    assert [(source.name, source.size) for source in sources] == [
        ("b.mp4", 1), ("c/frames", 2), ("e.mp4", 1), ("f.mp4", 1), ("hard.mp4", 1),
    ]  # fmt: skip
    assert {one.source: one.reason for one in rejected} == {
        "a.mp4": "is a link to b.mp4, which is taken already",
        "c/d.mkv": "is a link to b.mp4, which is taken already",
        "notes.txt": "its suffix .txt is no video's",
        "other.txt": "its suffix .txt is no video's",
    }


def test_a_name_cannot_forge_a_line_or_colour_a_screen() -> None:
    assert shown("a\nb\r\t\x1b[31m\x7f\x9b.mp4") == "a\\nb\\r\\t\\x1b[31m\\x7f\\x9b.mp4"
    assert shown("\u2028\u202egp4.mp4\udcff") == "\\u2028\\u202egp4.mp4\\udcff"
    assert shown("été 中文 😀‍🎬.mp4") == "été 中文 😀‍🎬.mp4"


@contextmanager
def no_longer_root() -> Iterator[None]:
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_a_folder_that_may_not_be_read_is_named() -> None:
    with tempfile.TemporaryDirectory() as name:
        root = lay(Path(name), "a.mp4", "locked/b.mp4")
        root.chmod(0o755)
        (root / "locked").chmod(0)
        with no_longer_root():
            sources, rejected = AnyFolder().find(root)
        (root / "locked").chmod(0o755)
    assert [source.name for source in sources] == ["a.mp4"]
    assert [(one.source, one.reason) for one in rejected] == [("locked", "cannot be read (Permission denied)")]


def test_a_socket_is_no_video(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lay(tmp_path, "a.mp4")
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("s.mp4")
        _, rejected = AnyFolder().find(tmp_path)
    assert [(one.source, one.reason) for one in rejected] == [("s.mp4", "is no regular file")]


def test_hostile_names_give_safe_unique_keys_and_readable_names(tmp_path: Path) -> None:
    names = [
        "a b.mp4",
        "a_b.mkv",
        "a\nb.mp4",
        "q\"uo'te.mp4",
        "<script>.mp4",
        "😀.mp4",
        "🎬.mp4",
        "中文.mp4",
        "A b.mov",
    ]
    lay(tmp_path, *names, "A b.mov", *(f"{'x' * 150}{letter}.mp4" for letter in "ab"))
    raw = os.fsencode(tmp_path) + b"/odd\xff.mp4", os.fsencode(tmp_path) + b"/odd\xfe.mp4"
    for path in raw:
        with open(path, "wb"):
            pass
    sources, rejected = AnyFolder().find(tmp_path)
    assert (len(sources), rejected) == (13, [])
    made = [source.key for source in sources]
    assert made == sorted(made)
    assert len({key.casefold() for key in made}) == 13
    assert all(key == safe(key) and len(key.encode()) <= 120 for key in made)
    by_name = {source.name: source for source in sources}
    assert by_name["odd\\udcff.mp4"].path == Path(os.fsdecode(raw[0]))
    assert by_name["中文.mp4"].key == "中文"
    # sha256("a b.mp4") begins so; computed with sha256sum.
    assert by_name["a b.mp4"].key == "a_b-018c1c8b"
    for source in sources:
        source.name.encode()


anything = st.text(st.characters(), min_size=1, max_size=80)


@given(st.lists(anything, max_size=12, unique=True))
def test_keys_are_unique_short_and_independent_of_order(names: list[str]) -> None:
    made = keys((name, name) for name in names)
    assert len({key.casefold() for key in made}) == len(names)
    assert all(safe(key) == key and 0 < len(key.encode()) <= 120 for key in made)
    assert keys((name, name) for name in reversed(names)) == made[::-1]
    for name in names:
        shown(name).encode()
        assert len(shown(name).splitlines()) <= 1


@given(anything, st.lists(anything, max_size=5, unique=True))
def test_a_key_does_not_depend_on_names_unlike_it(name: str, others: list[str]) -> None:
    alone = keys([(name, name)])[0]
    unlike = [other for other in others if not safe(other).casefold().startswith(safe(name).casefold()[:3])]
    assert keys([(name, name), *((other, other) for other in unlike)])[0] == alone


def test_a_name_that_imitates_a_key_with_digits_does_not_collide() -> None:
    twins = ["a b", "a_b"]
    imitation = keys((name, name) for name in twins)[0]
    assert len(set(keys((name, name) for name in [*twins, imitation]))) == 3


def test_frame_folders_take_no_videos(tmp_path: Path) -> None:
    lay(tmp_path, "one/1.jpg", "one/clip.mp4", "two/1.png", "b.mp4")
    sources, rejected = FrameFolders().find(tmp_path)
    assert [source.name for source in sources] == ["one", "two"]
    assert [one.source for one in rejected] == ["b.mp4", "one/clip.mp4"]


def origins(layout: Layout, root: Path) -> dict[str, Origin]:
    return {source.name: source.origin for source in layout.find(root)[0]}


def test_vfhq_names(tmp_path: Path) -> None:
    one, other = "Clip+G0DGRma_p48+P0+C0+F11208-11383", "Clip+-1Jouc19I_o+P10+C3+F4196-4320"
    lay(tmp_path, f"{one}/00000001.png", f"videos/{other}.mp4", f"{other}/vid.mp4", "Clip+short+P0+C0+F1-2.mp4")
    assert origins(VFHQ(), tmp_path) == {
        one: Origin("G0DGRma_p48", "G0DGRma_p48+P0"),
        f"videos/{other}.mp4": Origin("-1Jouc19I_o", "-1Jouc19I_o+P10"),
        f"{other}/vid.mp4": Origin("-1Jouc19I_o", "-1Jouc19I_o+P10"),
    }
    (refused,) = VFHQ().find(tmp_path)[1]
    assert refused.source == "Clip+short+P0+C0+F1-2.mp4"
    assert "Clip+G0DGRma_p48+P0+C0+F11208-11383 is expected" in refused.reason


def test_hdtf_names(tmp_path: Path) -> None:
    names = ["RD_Radio10_000", "WDA_BarackObama_000", "WDA_BarackObama_001", "WDA_AmyKlobuchar0_000"]
    lay(tmp_path, *(f"{name}.mp4" for name in [*names, "WRA_LucilleRoybal-Allard1_012", "Radio11_0", "RD_Radio11"]))
    assert origins(HDTF(), tmp_path) == {
        "RD_Radio10_000.mp4": Origin("RD_Radio10", "Radio10"),
        "WDA_BarackObama_000.mp4": Origin("WDA_BarackObama", "BarackObama"),
        "WDA_BarackObama_001.mp4": Origin("WDA_BarackObama", "BarackObama"),
        "WDA_AmyKlobuchar0_000.mp4": Origin("WDA_AmyKlobuchar0", "AmyKlobuchar"),
        "WRA_LucilleRoybal-Allard1_012.mp4": Origin("WRA_LucilleRoybal-Allard1", "LucilleRoybal-Allard"),
    }
    assert [one.source for one in HDTF().find(tmp_path)[1]] == ["RD_Radio11.mp4", "Radio11_0.mp4"]


def test_voxceleb2_paths(tmp_path: Path) -> None:
    one, other = "mp4/id00012/21Uxsk56VDQ/00001.mp4", "mp4/id00017/01d_n2-pqyE/00001.mp4"
    lay(tmp_path, f"dev/{one}", f"vox/test/{other}", one)
    assert origins(VoxCeleb2(), tmp_path) == {
        f"dev/{one}": Origin("21Uxsk56VDQ", "id00012"),
        f"vox/test/{other}": Origin("01d_n2-pqyE", "id00017", "test"),
    }
    assert [one.source for one in VoxCeleb2().find(tmp_path)[1]] == [one]


def test_celebvhq_names_hold_underscores_and_dashes(tmp_path: Path) -> None:
    lay(tmp_path, "M2Ohb0FAaJU_1.mp4", "-2KGPYEFn_U_11.mp4", "abcdefgh_12.mp4", "M2Ohb0FAaJU.mp4")
    assert origins(CelebVHQ(), tmp_path) == {
        "-2KGPYEFn_U_11.mp4": Origin("-2KGPYEFn_U"),
        "M2Ohb0FAaJU_1.mp4": Origin("M2Ohb0FAaJU"),
    }


def test_rfv_lq_is_for_testing_only(tmp_path: Path) -> None:
    lay(tmp_path, "track 1/0.png", "2.mp4")
    assert origins(RFVLQ(), tmp_path) == {
        "2.mp4": Origin("2", split="test"),
        "track 1": Origin("track 1", split="test"),
    }


def test_folders_named_after_splits_prescribe_them(tmp_path: Path) -> None:
    lay(tmp_path, "train/1.mp4", "train/more/2.mp4", "validation/3/0.png", "test/4.mp4", "other/5.mp4", "train.mp4")
    assert origins(SplitFolders(), tmp_path) == {
        "train/1.mp4": Origin("train/1", split="train"),
        "train/more/2.mp4": Origin("train/more/2", split="train"),
        "validation/3": Origin("validation/3", split="validation"),
        "test/4.mp4": Origin("test/4", split="test"),
    }
    _, rejected = SplitFolders().find(tmp_path)
    assert [one.source for one in rejected] == ["other/5.mp4", "train.mp4"]


def test_wrong_inputs_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"input=.*nowhere does not exist"):
        AnyFolder().find(tmp_path / "nowhere")
    with pytest.raises(UserError, match=r"holds no video of this layout.*is empty"):
        AnyFolder().find(tmp_path)
    lay(tmp_path, "cat.mp4")
    with pytest.raises(UserError, match=r"WDA_BarackObama_000.*1 files were refused: cat\.mp4 does not fit"):
        HDTF().find(tmp_path)


def test_every_layout_of_the_configuration_builds() -> None:
    names = groups()["layout"]
    assert set(names) == {"folder", "frames", "vfhq", "hdtf", "voxceleb2", "celebvhq", "rfv_lq", "splits"}
    for name in names:
        tree = OmegaConf.to_container(OmegaConf.load(folder() / "layout" / f"{name}.yaml"))
        assert isinstance(tree, dict)
        check_arguments(tree)
        assert callable(build(tree).find)
