import errno
import gzip
import io
import os
import pickle
import resource
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.archives import _unpack, members, open_source
from dvface.data_prep.prepare.layouts.folder import AnyFolder
from dvface.data_prep.prepare.layouts.named import VFHQ, VoxCeleb2
from dvface.data_prep.prepare.source import Origin, Source
from dvface.errors import UserError

FILES = {"a.mp4": b"first" * 1000, "deep/b c.MKV": b"second" * 30_000, "readme.txt": b"words"}


def as_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def as_tar(path: Path, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w" if path.suffix == ".tar" else "w:gz") as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


WRITERS: dict[str, Callable[[Path, dict[str, bytes]], Path]] = {
    ".zip": as_zip,
    ".tar": as_tar,
    ".tar.gz": as_tar,
    ".tgz": as_tar,
}


def found(root: Path) -> tuple[dict[str, Source], dict[str, str]]:
    """Sources and reasons by name."""
    sources, rejected = AnyFolder().find(root)
    return {one.name: one for one in sources}, {one.source: one.reason for one in rejected}


@pytest.mark.parametrize("suffix", WRITERS)
def test_videos_of_an_archive_are_sources_and_open_as_their_bytes(tmp_path: Path, suffix: str) -> None:
    root, scratch = tmp_path / "in", tmp_path / "scratch"
    root.mkdir()
    scratch.mkdir()
    archive = WRITERS[suffix](
        root / f"x{suffix}", {"./a.mp4" if suffix == ".tar" else "a.mp4": b"", **FILES, ".c.mp4": b""}
    )
    if suffix == ".tar":
        _, reasons = found(root)
        assert reasons["x.tar/a.mp4"] == "occurs more than once in the archive"
        archive = as_tar(archive, FILES)
    sources, reasons = found(root)
    assert list(sources) == [f"x{suffix}/a.mp4", f"x{suffix}/deep/b c.MKV"]
    assert reasons == {f"x{suffix}/readme.txt": "its suffix .txt is no video's"}
    kind = suffix.replace(".", "_")
    assert [one.key for one in sources.values()] == [f"x{kind}_a", f"x{kind}_deep_b_c"]
    for source, member in zip(sources.values(), ("a.mp4", "deep/b c.MKV"), strict=True):
        assert (source.path, source.size) == (archive, len(FILES[member]))
        assert pickle.loads(pickle.dumps(source)) == source
        with open_source(source, scratch) as path:
            assert path.read_bytes() == FILES[member]
            assert path.parent == scratch
            assert path.suffix == Path(member).suffix.lower()
            assert "b c" not in path.name
            assert path.name.startswith(".")
        assert list(scratch.iterdir()) == []


def test_a_plain_source_is_its_own_path(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    path.write_bytes(b"x")
    with open_source(Source("a", "a.mp4", path, None, Origin("a"), 1), tmp_path / "none") as opened:
        assert opened == path
    assert path.exists()


def test_a_copy_is_removed_when_its_user_fails(tmp_path: Path) -> None:
    as_zip(tmp_path / "x.zip", FILES)
    source = found(tmp_path)[0]["x.zip/a.mp4"]
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(RuntimeError, match="mine"), open_source(source, scratch):
        raise RuntimeError("mine")
    assert list(scratch.iterdir()) == []


def test_what_must_not_be_touched_in_a_zip_is_refused_by_name(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        for name in ("good.mp4", "/etc/a.mp4", "../b.mp4", "C:\\c.mp4", "..\\d.mp4", "in.zip", "in.7z"):
            archive.writestr(zipfile.ZipInfo(name), b"x")
        for name, kind in (("link.mp4", stat.S_IFLNK), ("pipe.mp4", stat.S_IFIFO)):
            info = zipfile.ZipInfo(name)
            info.external_attr = (kind | 0o644) << 16
            archive.writestr(info, b"/etc/passwd")
        archive.writestr("secret.mp4", b"x")
    data = bytearray((tmp_path / "x.zip").read_bytes())
    entry = data.rindex(b"secret.mp4") - 46  # of the directory at the end; its flags lie 8 bytes in
    data[entry + 8] |= 1
    (tmp_path / "x.zip").write_bytes(data)
    sources, reasons = found(tmp_path)
    assert list(sources) == ["x.zip/good.mp4"]
    assert reasons == {
        "x.zip/etc/a.mp4": "has an absolute name within its archive",
        "x.zip/../b.mp4": "has a name that leads out of its archive",
        "x.zip/C:\\c.mp4": "has an absolute name within its archive",
        "x.zip/..\\d.mp4": "has a name that leads out of its archive",
        "x.zip/in.zip": "is an archive within an archive; unpack it first",
        "x.zip/in.7z": "is an archive within an archive; unpack it first",
        "x.zip/link.mp4": "is a link within an archive",
        "x.zip/pipe.mp4": "is no regular file",
        "x.zip/secret.mp4": "is encrypted; unpack it first",
    }


def test_links_and_devices_of_a_tar_are_refused_by_name(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("good.mp4"))
        kinds = {"soft": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "device": tarfile.BLKTYPE, "pipe": tarfile.FIFOTYPE}
        for name, kind in kinds.items():
            info = tarfile.TarInfo(f"{name}.mp4")
            info.type, info.linkname = kind, "/etc/passwd"
            archive.addfile(info)
        folder = tarfile.TarInfo("folder.mp4")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
    sources, reasons = found(tmp_path)
    assert list(sources) == ["x.tar/good.mp4"]
    assert reasons == {
        "x.tar/soft.mp4": "is a link within an archive",
        "x.tar/hard.mp4": "is a link within an archive",
        "x.tar/device.mp4": "is no regular file",
        "x.tar/pipe.mp4": "is no regular file",
    }


@pytest.mark.parametrize("suffix", WRITERS)
def test_two_members_of_one_name_are_refused(tmp_path: Path, suffix: str) -> None:
    WRITERS[suffix](tmp_path / f"x{suffix}", {"./a.mp4": b"one", "a.mp4": b"other", "./b.mp4": b"b"})
    sources, reasons = found(tmp_path)
    assert reasons == {f"x{suffix}/a.mp4": "occurs more than once in the archive"}
    with open_source(sources[f"x{suffix}/b.mp4"], tmp_path) as path:
        assert path.read_bytes() == b"b"


def test_archives_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    (tmp_path / "good.mp4").write_bytes(b"x")
    (tmp_path / "text.zip").write_text("no archive")
    (tmp_path / "zero.tar").write_bytes(b"")
    as_zip(tmp_path / "frames.zip", {f"{number}.png": b"x" for number in range(3)})
    as_zip(tmp_path / "none.zip", {})
    whole = as_tar(tmp_path / "whole.tar", FILES).read_bytes()
    whole_packed = as_tar(tmp_path / "whole.tgz", FILES).read_bytes()
    (tmp_path / "whole.tar").unlink()
    (tmp_path / "whole.tgz").unlink()
    (tmp_path / "cut.tar").write_bytes(whole[:3000])
    header = bytearray(whole)
    header[512 + 5120 + 20] ^= 255  # in the header of the second file
    (tmp_path / "flipped.tar").write_bytes(header)
    (tmp_path / "cut.tgz").write_bytes(whole_packed[: len(whole_packed) // 2])
    (tmp_path / "zip.tar.gz").write_bytes(gzip.compress(b"no tar" * 1000))
    sources, reasons = found(tmp_path)
    assert list(sources) == ["good.mp4"]
    assert reasons.pop("frames.zip") == "is an archive of pictures (3); unpack it first"
    assert reasons.pop("none.zip") == "is an empty archive"
    assert set(reasons) == {"text.zip", "zero.tar", "cut.tar", "flipped.tar", "cut.tgz", "zip.tar.gz"}
    for reason in reasons.values():
        assert reason.startswith("is damaged or no archive (")
        assert reason.endswith("); copy it again")
        assert str(tmp_path) not in reason


@pytest.mark.parametrize("promised", [10, 1_000_000])
def test_a_zip_that_lies_about_a_size_is_left_at_that_size(tmp_path: Path, promised: int) -> None:
    as_zip(tmp_path / "x.zip", {"a.mp4": bytes(200_000)})
    data = bytearray((tmp_path / "x.zip").read_bytes())
    entry = data.rindex(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = struct.pack("<I", promised)
    (tmp_path / "x.zip").write_bytes(data)
    (source,) = found(tmp_path)[0].values()
    assert source.size == promised
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with pytest.raises(UserError, match=r"x\.zip is damaged"), open_source(source, scratch):
        pass
    assert list(scratch.iterdir()) == []


def test_a_member_larger_than_the_disk_is_refused_unread(tmp_path: Path) -> None:
    as_zip(tmp_path / "x.zip", {"a.mp4": b"x"})
    huge = Source("a", "x.zip/a.mp4", tmp_path / "x.zip", "a.mp4", Origin("a"), 1 << 60)
    (tmp_path / "scratch").mkdir()
    with pytest.raises(UserError, match="has room for") as caught, open_source(huge, tmp_path / "scratch"):
        pass
    assert "scratch" not in str(caught.value)


@pytest.mark.parametrize("suffix", WRITERS)
def test_damage_within_a_member_and_lost_members_are_named(tmp_path: Path, suffix: str) -> None:
    archive = WRITERS[suffix](tmp_path / f"x{suffix}", FILES)
    sources, _ = found(tmp_path)
    source = sources[f"x{suffix}/deep/b c.MKV"]
    data = bytearray(archive.read_bytes())
    WRITERS[suffix](archive, {"a.mp4": b"x"})
    with pytest.raises(UserError, match=r"no longer holds deep/b c\.MKV"), open_source(source, tmp_path):
        pass
    archive.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="is damaged"), open_source(source, tmp_path):
        pass
    if suffix == ".zip":
        at = data.index(b"deep/b c.MKV") + 40
        data[at] ^= 255
        archive.write_bytes(data)
        with pytest.raises(UserError, match=r"damaged or no archive at deep/b c\.MKV"), open_source(source, tmp_path):
            pass


def test_names_that_are_no_utf_8_work(tmp_path: Path) -> None:
    as_tar(tmp_path / "x.tar", {"\udcff\n😀.mp4": b"seen"})
    (source,) = found(tmp_path)[0].values()
    assert source.name == "x.tar/\\udcff\\n😀.mp4"
    with open_source(source, tmp_path) as path:
        assert path.read_bytes() == b"seen"


def test_layouts_read_names_within_archives(tmp_path: Path) -> None:
    clip = "Clip+G0DGRma_p48+P0+C0+F1-2"
    as_zip(tmp_path / f"{clip}.zip", {"video.mp4": b"x"})
    ((source,), none) = VFHQ().find(tmp_path)
    assert (source.origin, none) == (Origin("G0DGRma_p48", "G0DGRma_p48+P0"), [])
    as_tar(tmp_path / "vox.tar", {"test/mp4/id00017/01dfn2spqyE/00001.mp4": b"x", "other.mp4": b"x"})
    ((source,), refused) = VoxCeleb2().find(tmp_path)
    assert source.origin == Origin("01dfn2spqyE", "id00017", "test")
    assert [one.source for one in refused] == [f"{clip}.zip/video.mp4", "vox.tar/other.mp4"]
    assert isinstance(refused[0], Rejection)


def test_members_lists_without_unpacking(tmp_path: Path) -> None:
    listed = members(as_zip(tmp_path / "x.zip", FILES))
    assert [(one.name, one.size, one.fault) for one in listed] == [(n, len(d), None) for n, d in FILES.items()]


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A tar's block that promises ``size`` bytes, which may be below 0."""
    info = tarfile.TarInfo(name)
    info.type = kind
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT)[:512])
    block[124:136] = b"\xff" + size.to_bytes(11, "big", signed=True) if size < 0 else b"%011o\0" % size
    block[148:156] = b" " * 8
    block[148:156] = b"%06o\0 " % sum(block)
    return bytes(block)


def reason_of(archive: Path) -> str:
    (archive.parent / "good.mp4").write_bytes(b"x")
    sources, reasons = found(archive.parent)
    assert list(sources) == ["good.mp4"]
    return reasons[archive.name]


@pytest.mark.parametrize("size", [-1, -512, -1024])
def test_a_tar_that_leads_backwards_is_damaged(tmp_path: Path, size: int) -> None:
    (tmp_path / "x.tar").write_bytes(header("a.txt", 0) + header("v.mp4", size) + bytes(1024))
    assert f"a header promises {size} bytes" in reason_of(tmp_path / "x.tar")


@pytest.mark.parametrize("size", [-512, -1024, -1536])
def test_an_extended_header_that_leads_backwards_is_damaged(tmp_path: Path, size: int) -> None:
    info = tarfile.TarInfo("v.mp4")
    info.pax_headers = {"size": str(size)}
    data = header("a.txt", 0) + info.tobuf(tarfile.PAX_FORMAT) + bytes(1024)
    (tmp_path / "x.tar").write_bytes(data)
    assert f"a header promises {size} bytes" in reason_of(tmp_path / "x.tar")


@pytest.mark.parametrize("kind", [b"x", b"g", b"X", b"L", b"K"])
def test_a_huge_extended_header_is_refused_unread(tmp_path: Path, kind: bytes) -> None:
    # There is nothing behind it: whoever reads finds "unexpected end of data" or nothing.
    packed = gzip.compress(header("a.txt", 0) + header("x", 700 << 20, kind))
    (tmp_path / "x.tar.gz").write_bytes(packed)
    assert f"a header promises {700 << 20} bytes" in reason_of(tmp_path / "x.tar.gz")


def test_long_names_and_a_size_in_an_extended_header_are_no_damage(tmp_path: Path) -> None:
    name = "folder/" * 60 + "v.mp4"
    for form, archive in ((tarfile.PAX_FORMAT, "pax.tar"), (tarfile.GNU_FORMAT, "gnu.tar")):
        info = tarfile.TarInfo(name)
        info.size, info.pax_headers = 4, {"size": "4", "comment": "x" * 5000}
        with tarfile.open(tmp_path / archive, "w", format=form) as tar:
            tar.addfile(info, io.BytesIO(b"seen"))
    for source in found(tmp_path)[0].values():
        with open_source(source, tmp_path) as path:
            assert path.read_bytes() == b"seen"


def test_a_zip_whose_name_is_no_utf_8_is_named(tmp_path: Path) -> None:
    data = as_zip(tmp_path / "x.zip", {"é.mp4": b"x"}).read_bytes()
    (tmp_path / "x.zip").write_bytes(data.replace("é".encode(), b"\xff\xfe"))
    assert "is damaged or no archive ('utf-8' codec can't decode" in reason_of(tmp_path / "x.zip")


def test_damaged_lzma_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("v.mp4", bytes(range(256)) * 9)
    data = bytearray((tmp_path / "x.zip").read_bytes())
    data[30 + 5 + 9 : 30 + 5 + 60] = b"\xff" * 51  # after the local header, the name and the properties
    (tmp_path / "x.zip").write_bytes(data)
    (source,) = found(tmp_path)[0].values()
    with pytest.raises(UserError, match=r"x\.zip is damaged or no archive at v\.mp4"), open_source(source, tmp_path):
        pass
    (tmp_path / "x.zip").unlink()
    with tarfile.open(tmp_path / "x.tar", "w:xz") as tar:
        for number in range(3):
            info = tarfile.TarInfo(f"{number}.mp4")
            info.size = 100_000
            tar.addfile(info, io.BytesIO(os.urandom(info.size)))
    data = bytearray((tmp_path / "x.tar").read_bytes())
    for at in range(len(data) // 2, len(data) // 2 + (1 << 16) + 9):  # some header of a block is among them
        data[at] ^= 0x5A
    (tmp_path / "x.tar").write_bytes(data)
    assert reason_of(tmp_path / "x.tar") == "is damaged or no archive (Corrupt input data); copy it again"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("suffix", WRITERS)
def test_a_full_disk_is_not_blamed_on_the_archive(tmp_path: Path, suffix: str) -> None:
    WRITERS[suffix](tmp_path / f"x{suffix}", FILES)
    with open("/dev/full", "wb", buffering=0) as full, pytest.raises(OSError, match="space") as caught:
        _unpack(tmp_path / f"x{suffix}", "a.mp4", len(FILES["a.mp4"]), full, lambda: None)
    assert caught.value.errno == errno.ENOSPC


def test_too_many_open_files_are_not_blamed_on_the_archive(tmp_path: Path) -> None:
    archive = as_zip(tmp_path / "x.zip", FILES)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            members(archive)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("suffix", WRITERS)
def test_unpacking_a_late_member_gives_signs_of_life(tmp_path: Path, suffix: str) -> None:
    before = {f"{number}.txt": b"x" for number in range(30)}
    WRITERS[suffix](tmp_path / f"x{suffix}", {**before, "v.mp4": bytes(3 << 20)})
    (source,) = found(tmp_path)[0].values()
    beats: list[int] = []
    with open_source(source, tmp_path, beat=lambda: beats.append(1)) as path:
        assert path.stat().st_size == 3 << 20
    assert len(beats) >= (3 if suffix == ".zip" else 33)


def test_skipping_one_large_member_gives_signs_of_life(tmp_path: Path) -> None:
    as_tar(tmp_path / "x.tar.gz", {"large.txt": os.urandom(6 << 20), "v.mp4": b"x"})
    (source,) = found(tmp_path)[0].values()
    beats: list[int] = []
    with open_source(source, tmp_path, beat=lambda: beats.append(1)):
        pass
    assert len(beats) >= 6
