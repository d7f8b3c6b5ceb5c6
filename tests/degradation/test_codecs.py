"""Four video codecs: what comes back, the same each time, in about as many bits as asked."""

import io
import json
import math

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.degradation.codecs import VideoCodec, compressed
from dvface.degradation.compression import H264
from dvface.degradation.encoders import ENCODERS
from dvface.errors import UserError

CODECS = list(ENCODERS)
QUALITIES = {"libx264": (18, 30, 44), "libx265": (18, 30, 44), "mpeg4": (2, 8, 28), "libvpx-vp9": (15, 35, 60)}
FAST = {"libx264": "veryfast", "libx265": "fast", "mpeg4": None, "libvpx-vp9": "5"}


@pytest.fixture(scope="module")
def footage(carphone: np.ndarray) -> np.ndarray:
    return (carphone[:16] / 255).astype(np.float32)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    return -10 * math.log10(np.mean((one - other) ** 2))


def drawn(codec: VideoCodec) -> dict:
    return codec.draw(np.random.default_rng(0), ())


def picture_bytes(data: bytes) -> int:
    with av.open(io.BytesIO(data)) as container:
        return sum(packet.size for packet in container.demux(video=0))


@pytest.mark.parametrize("name", CODECS)
def test_higher_crf_is_worse_and_smaller(name: str, footage: np.ndarray):
    codec = VideoCodec(name, crf=QUALITIES[name][:2], preset=FAST[name])
    records = [{**drawn(codec), "crf": value} for value in QUALITIES[name]]
    quality = [psnr(codec.apply(footage, record), footage) for record in records]
    sizes = [picture_bytes(compressed(footage, record)) for record in records]
    assert quality == sorted(quality, reverse=True)
    assert quality[0] > quality[2] + 5
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize("name", CODECS)
@pytest.mark.parametrize("rate", [1, 25])
@pytest.mark.parametrize("bits", [4000, 12000])
def test_clips_take_about_as_many_bits_as_asked(name: str, rate: int, bits: int, footage: np.ndarray):
    codec = VideoCodec(name, rate=rate, bits_per_frame=[bits, bits], preset=FAST[name])
    spent = picture_bytes(compressed(footage, drawn(codec))) * 8 / len(footage)
    assert bits / 2 < spent < bits * 2


@pytest.mark.parametrize("name", CODECS)
def test_frames_colours_and_brightness_come_back_in_place(name: str, footage: np.ndarray):
    codec = VideoCodec(name, crf=[QUALITIES[name][0]] * 2, preset=FAST[name])
    degraded = codec.apply(footage, drawn(codec))
    assert np.abs((degraded - footage).mean((0, 1, 2))).max() < 0.8 / 255
    # The footage moves: a frame fits its own best, so none is late, lost or repeated.
    errors = ((degraded[:, None, ::4, ::4] - footage[None, :, ::4, ::4]) ** 2).mean((2, 3, 4))
    np.testing.assert_array_equal(errors.argmin(1), np.arange(16))
    red = np.zeros((3, 32, 32, 3), np.float32) + np.float32([1, 0, 0])
    np.testing.assert_allclose(codec.apply(red, drawn(codec)), red, atol=6 / 255)


@pytest.mark.parametrize("aim", [{"crf": [9, 28]}, {"bits_per_frame": [1000, 9000]}])
@pytest.mark.parametrize("name", CODECS)
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**40), frames=st.integers(1, 6), height=st.integers(1, 70), width=st.integers(1, 70))
def test_any_size_comes_back_and_replays_bit_for_bit(name, aim, seed, frames, height, width):
    rng = np.random.default_rng(seed)
    clip = rng.random((frames, height, width, 3), dtype=np.float32) * 1.2 - np.float32(0.1)
    codec = VideoCodec(name, preset=FAST[name], **aim)
    record = codec.draw(rng, clip.shape)
    degraded = codec.apply(clip, record)
    assert degraded.shape == clip.shape
    assert degraded.dtype == np.float32
    assert 0 <= degraded.min() <= degraded.max() <= 1
    other = VideoCodec("mpeg4", rate=7, crf=[31, 31])
    np.testing.assert_array_equal(degraded, other.apply(clip, json.loads(json.dumps(record))))


@pytest.mark.parametrize("name", CODECS)
def test_records_of_another_encoder_are_refused(name: str, footage: np.ndarray):
    codec = VideoCodec(name, crf=[20, 20])
    record = drawn(codec)
    assert "unknown" not in record["encoder"]
    assert any(character.isdigit() for character in record["encoder"])
    with pytest.raises(UserError, match=f"{ENCODERS[name].title} step was made by older 1 and cannot be replayed"):
        codec.apply(footage, {**record, "encoder": "older 1"})


def test_each_encoder_names_its_own_build():
    starts = {"libx264": "x264 core ", "libx265": "x265 (build ", "mpeg4": "FFmpeg's mpeg4, ", "libvpx-vp9": "libvpx v"}
    for name, start in starts.items():
        assert drawn(VideoCodec(name, crf=[20, 20]))["encoder"].startswith(start)


def test_h264_is_the_codec_without_its_name_in_the_record(footage: np.ndarray):
    h264, codec = H264([20, 40], "veryfast", 25), VideoCodec("libx264", crf=[20, 40], preset="veryfast")
    old, new = drawn(h264), drawn(codec)
    assert new == {"codec": "libx264", **old}
    assert list(old) == ["crf", "preset", "rate", "encoder"]
    np.testing.assert_array_equal(h264.apply(footage, old), codec.apply(footage, new))
    assert h264.describe() == codec.describe() == "H.264 at CRF 20–40 (preset veryfast, 25/s)"


def test_draws_reach_both_ends_of_the_range():
    rng = np.random.default_rng(0)
    codec = VideoCodec("mpeg4", crf=[3, 7])
    assert {codec.draw(rng, ())["crf"] for _ in range(200)} == {3, 4, 5, 6, 7}


def test_descriptions_say_what_the_number_is():
    assert VideoCodec("mpeg4", crf=[2, 9]).describe() == "MPEG-4 at quantiser 2–9 (25/s)"
    assert VideoCodec("libx265", crf=[20, 20]).describe() == "H.265 at CRF 20 (preset medium, 25/s)"
    vp9 = VideoCodec("libvpx-vp9", rate=15, bits_per_frame=[400, 5000], preset="7")
    assert vp9.describe() == "VP9 at 400–5000 bits a frame (preset 7, 15/s)"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"codec": "h263", "crf": [1, 2]}, "codec must be one of libx264, libx265, mpeg4, libvpx-vp9, got 'h263'"),
        ({"codec": "libx264"}, "exactly one of crf and bits_per_frame"),
        ({"codec": "libx264", "crf": [1, 2], "bits_per_frame": [1, 2]}, "exactly one of crf and bits_per_frame"),
        ({"codec": "mpeg4", "crf": [0, 5]}, r"crf must be \[low, high\] with 1 <= low <= high <= 31"),
        ({"codec": "libvpx-vp9", "crf": [0, 64]}, "high <= 63"),
        ({"codec": "libx265", "crf": [20.5, 30]}, "crf must be whole numbers"),
        ({"codec": "mpeg4", "crf": [2, 5], "preset": "fast"}, "preset must be null, mpeg4 has none, got 'fast'"),
        ({"codec": "libvpx-vp9", "crf": [2, 5], "preset": "fast"}, "preset must be one of 0, 1, 2"),
        ({"codec": "libx265", "crf": [2, 5], "rate": 0}, "rate must be at least 1"),
        ({"codec": "libx264", "rate": 1, "bits_per_frame": [999, 5000]}, "bits_per_frame must be .* with 1000 <= low"),
    ],
)
def test_impossible_settings_are_refused_by_name(arguments: dict, message: str):
    with pytest.raises(ValueError, match=message):
        VideoCodec(**arguments)
