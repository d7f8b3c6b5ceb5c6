"""Frames with their times, out of videos and folders, harmless and hostile."""

import os
import struct
import zlib
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.video.made import TICK, UNEVEN, Made, smooth

from dvface.errors import UserError
from dvface.video import timed
from dvface.video.pictures import FolderSource, open_source, read_picture_deep, write_png, write_png_folder
from dvface.video.pixels import Colours
from dvface.video.read import read_video
from dvface.video.times import IncreasingTimes


@pytest.fixture(scope="module")
def uneven(tmp_path_factory) -> Path:
    return Made(sound="aac").write(tmp_path_factory.mktemp("made") / "uneven.mp4")


def test_a_variable_rate_is_read_tick_by_tick(uneven: Path):
    source = open_source(uneven)
    frames = list(source.frames())
    assert (source.facts.time_base, [frame.time for frame in frames]) == (TICK, list(UNEVEN))
    assert [frame.duration for frame in frames] == [*np.diff(UNEVEN), 1000]
    assert (source.facts.frames, source.facts.width, source.facts.height) == (24, 96, 64)
    assert [other.kind for other in source.facts.others] == ["audio"]
    assert (source.facts.others[0].codec, source.facts.others[0].language) == ("aac", "deu")
    assert source.notes == ()


def test_reading_from_a_later_frame_gives_the_same_frames(uneven: Path):
    source = open_source(uneven)
    whole, rest = list(source.frames()), list(source.frames(17))
    assert [(frame.time, frame.duration) for frame in rest] == [(frame.time, frame.duration) for frame in whole[17:]]
    for one, other in zip(rest, whole[17:], strict=True):
        np.testing.assert_array_equal(one.pixels, other.pixels)
    assert list(source.frames(24)) == []


@pytest.mark.parametrize(
    "colours", [Colours(1, True, 1, 1), Colours(6, True, 6, 6), Colours(9, False, 9, 14), Colours(5, False, 5, 6)]
)
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv420p10le"])
def test_colours_are_read_by_the_sources_matrix_and_range(tmp_path: Path, colours: Colours, pixel_format: str):
    made = Made(times=range(0, 3000, 1000), colours=colours, pixel_format=pixel_format)
    source = open_source(made.write(tmp_path / "made.mp4"))
    assert source.facts.colours == colours
    frame = next(source.frames()).pixels
    assert frame.dtype == (np.uint16 if made.deep else np.uint8)
    level = np.iinfo(frame.dtype).max / 255
    assert np.abs((frame.astype(float) - made.frame(0)).mean((0, 1)) / level).max() < 0.5


@pytest.mark.parametrize(("height", "matrix"), [(718, 6), (720, 1)])
def test_an_unnamed_matrix_follows_the_usual_rule(tmp_path: Path, height: int, matrix: int):
    made = Made(times=[0], size=(height, 16), tagged=False)
    assert open_source(made.write(tmp_path / "made.mp4")).facts.colours == Colours(matrix, False)


def test_a_turned_video_is_upright_and_its_pixel_shape_turns_along(tmp_path: Path):
    made = Made(times=[0, 1000], aspect=Fraction(4, 3), rotation=-90)
    source = open_source(made.write(tmp_path / "phone.mp4"))
    facts = source.facts
    assert (facts.height, facts.width, facts.sample_aspect, facts.rotation) == (96, 64, Fraction(3, 4), -90)
    upright = np.rot90(made.frame(0), -1).astype(float)
    assert np.abs(next(source.frames()).pixels - upright).mean() < 2


def test_pixels_of_ordinary_footage_are_those_of_the_plain_reader(tmp_path: Path):
    path = Made().write(tmp_path / "made.mp4")
    np.testing.assert_array_equal(np.stack([frame.pixels for frame in open_source(path).frames()]), read_video(path))


def test_a_stream_without_times_gets_those_of_its_rate(tmp_path: Path):
    path = Made(times=range(0, 6000, 1200)).write(tmp_path / "bare.h264")
    source = open_source(path)
    frames = list(source.frames())
    assert [float(frame.time * source.facts.time_base) for frame in frames] == pytest.approx(
        [0, 0.04, 0.08, 0.12, 0.16]
    )


def test_wrong_times_are_moved_no_further_than_needed():
    times = IncreasingTimes(step=40, time_base=Fraction(1, 1000))
    assert [times(time) for time in (0, 40, 40, 80, 70, None, 160)] == [0, 40, 41, 80, 81, 121, 160]
    assert (times.moved, times.missing) == (2, 1)
    assert len(times.notes) == 2
    # A recording put behind another: its clock begins anew, its own steps stay.
    times = IncreasingTimes(step=40, time_base=Fraction(1, 1000))
    assert [times(time) for time in (5000, 5040, 0, 40, 90)] == [5000, 5040, 5080, 5120, 5170]


def test_a_folder_of_deep_pictures_is_read_exactly_at_its_rate(tmp_path: Path):
    frames = [smooth(10, 14, deep=True, seed=seed) for seed in range(3)]
    assert write_png_folder(tmp_path / "out", frames) == 3
    assert [path.name for path in sorted((tmp_path / "out").iterdir())] == ["000000.png", "000001.png", "000002.png"]
    source = open_source(tmp_path / "out", Fraction(24))
    read = list(source.frames())
    for one, other in zip(read, frames, strict=True):
        np.testing.assert_array_equal(one.pixels, other)
    assert [frame.time * source.facts.time_base for frame in read] == [0, Fraction(1, 24), Fraction(2, 24)]
    assert (source.facts.bit_depth, source.facts.frames) == (16, 3)


def test_pictures_of_both_depths_follow_the_first(tmp_path: Path):
    write_png(tmp_path / "1.png", np.full((4, 6, 3), 200, np.uint8))
    write_png(tmp_path / "2.png", np.full((4, 6, 3), 200 * 257, np.uint16))
    assert [frame.pixels[0, 0, 0] for frame in FolderSource(tmp_path).frames()] == [200, 200]
    (tmp_path / "1.png").rename(tmp_path / "3.png")
    assert [frame.pixels[0, 0, 0] for frame in FolderSource(tmp_path).frames()] == [51400, 51400]
    # Other software agrees on what was written.
    assert np.asarray(Image.open(tmp_path / "3.png"))[0, 0].tolist() == [200] * 3


def test_a_png_folder_that_fails_leaves_the_old_one(tmp_path: Path):
    write_png_folder(tmp_path / "out", [smooth(4, 6)])
    with pytest.raises(UserError, match="out exists"):
        write_png_folder(tmp_path / "out", [smooth(4, 6)])
    with pytest.raises(UserError, match="no frames"):
        write_png_folder(tmp_path / "out", [], overwrite=True)
    assert len(list((tmp_path / "out").iterdir())) == 1
    write_png_folder(tmp_path / "out", [smooth(4, 6), smooth(4, 6)], first=7, overwrite=True)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["000007.png", "000008.png"]
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 4096)) + chunk(b"IEND", b"")
    )


def test_pictures_that_promise_too_much_or_are_damaged_are_refused(tmp_path: Path):
    (tmp_path / "1.png").write_bytes(_png(9000, 8000))
    with pytest.raises(UserError, match="9000×8000 pixels, more than the 67 million"):
        FolderSource(tmp_path)
    (tmp_path / "1.png").write_bytes(_png(100, 100))
    with pytest.raises(UserError, match=r"1\.png is no readable picture"):
        read_picture_deep(tmp_path / "1.png")


def test_videos_that_promise_too_much_are_refused(tmp_path: Path, uneven: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(timed, "MOST_PIXELS", 64 * 96 - 1)
    with pytest.raises(UserError, match=r"uneven\.mp4 promises frames of 96×64 pixels"):
        open_source(uneven)
    # A screen of 60000×60000 in 55 bytes.
    gif = b"GIF89a" + struct.pack("<HHBBB", 60000, 60000, 128, 0, 0) + b"\0\0\0\xff\xff\xff,"
    gif += struct.pack("<HHHHB", 0, 0, 60000, 60000, 0) + bytes.fromhex(
        "02168c2d99872a1cdc33a00275ec95faa8de608c04914c01003b"
    )
    (tmp_path / "bomb.gif").write_bytes(gif)
    monkeypatch.undo()
    with pytest.raises(UserError, match=r"bomb\.gif"):
        open_source(tmp_path / "bomb.gif")


def test_a_cut_video_is_refused_where_it_ends(tmp_path: Path):
    path = Made(times=range(0, 40000, 1000)).write(tmp_path / "whole.mp4")
    data = path.read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 2 // 3])
    with pytest.raises(UserError, match=r"cut\.mp4"):
        list(open_source(tmp_path / "cut.mp4").frames())


@pytest.mark.parametrize(
    "name", ["missing.mp4", "garbage.mp4", "empty.mp4", "notes.txt", "sound.wav", "list.m3u8", "cover.m4a"]
)
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, name: str):
    (tmp_path / "garbage.mp4").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("lines of text\n" * 50)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\nwhole.mp4\n")
    for file in ("sound.wav", "cover.m4a"):
        with av.open(str(tmp_path / file), "w", format="mp4" if file == "cover.m4a" else None) as container:
            stream = container.add_stream("pcm_s16le" if file == "sound.wav" else "aac", rate=8000, layout="mono")
            cover = container.add_stream("mjpeg", rate=1) if file == "cover.m4a" else None
            if cover:
                cover.pix_fmt, cover.height, cover.width = "yuvj420p", 16, 16
                cover.disposition = av.stream.Disposition.attached_pic
                container.mux(cover.encode(av.VideoFrame(16, 16, "yuvj420p")))
                container.mux(cover.encode(None))
            form = stream.codec_context.format.name
            silence = av.AudioFrame(format=form, layout="mono", samples=1024)
            silence.sample_rate = 8000
            container.mux(stream.encode(silence))
    with pytest.raises(UserError, match=name):
        open_source(tmp_path / name)


def test_an_empty_folder_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="holds no png or jpg"):
        open_source(tmp_path)


def test_half_pictures_are_made_whole_and_keep_their_times(tmp_path: Path) -> None:
    # a bar that moves four columns from half picture to half picture
    halves = np.full((24, 64, 96, 3), 40, np.uint8)
    for number, half in enumerate(halves):
        half[:, 4 * number // 2 : 4 * number // 2 + 12] = 220
    combed = halves[::2].copy()
    combed[:, 1::2] = halves[1::2, 1::2]
    path = tmp_path / "tape.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"crf": "1", "x264-params": "tff=1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for picture in combed:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    source = open_source(path)
    frames = list(source.frames())
    assert len(frames) == 12
    assert [frame.time * source.facts.time_base for frame in frames] == [Fraction(n, 25) for n in range(12)]
    assert [frame.pixels.shape for frame in source.frames(5)] == [(64, 96, 3)] * 7
    assert source.notes == ("It is interlaced: its half pictures were made whole frames.",)

    def comb(picture: np.ndarray) -> float:
        return float(np.abs(np.diff(picture[:, :, 1].astype(int), axis=0)).mean())

    assert comb(frames[6].pixels) < 0.2 * comb(combed[6])


def packed(width: int, height: int) -> bytes:
    """A black PNG, which a thousandth of its pixels' bytes holds."""
    row = b"\0" * (1 + 3 * width)
    packer = zlib.compressobj(9)
    data = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", data), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def pictures(path: Path, packets: list[bytes]) -> Path:
    """A video of PNGs, whose container promises 64×64."""
    with av.open(str(path), "w") as container:
        stream = container.add_mux_stream("png", width=64, height=64)
        stream.time_base = Fraction(1, 25)
        for number, data in enumerate(packets):
            packet = av.Packet(data)
            packet.stream, packet.time_base, packet.pts, packet.dts = stream, Fraction(1, 25), number, number
            container.mux(packet)
    return path


def test_a_decompression_bomb_is_refused_and_not_unpacked(tmp_path: Path):
    bomb = packed(20_000, 20_000)
    assert len(bomb) < 2_000_000  # of the 1.2 GB that it unpacks to
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "000000.png").write_bytes(bomb)
    pictures(tmp_path / "liar.avi", [bomb])
    for name, fault in (("frames", "no readable picture"), ("liar.avi", "cannot be decoded after frame 0")):
        with pytest.raises(UserError, match=fault):
            open_source(tmp_path / name)


@pytest.mark.skipif(os.cpu_count() == 1, reason="a decoder with one thread refuses the file")
def test_frames_that_cannot_be_decoded_are_told(tmp_path: Path):
    good = packed(64, 64)
    source = open_source(pictures(tmp_path / "damaged.avi", [*8 * [good], *4 * [good[:40]]]))
    assert len(list(source.frames())) == 8
    assert source.notes == ("4 of 12 promised frames could not be decoded and are missing.",)
    whole = open_source(pictures(tmp_path / "whole.avi", 12 * [good]))
    assert len(list(whole.frames())) == 12
    assert whole.notes == ()
