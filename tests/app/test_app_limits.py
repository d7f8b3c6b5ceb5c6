"""What the page takes and what it refuses before any work."""

import shutil
from fractions import Fraction
from pathlib import Path

import av
import pytest
from tests.app.page_clips import write_clip

from dvface.app.limits import Limits, look, restored_name
from dvface.data.footage import CARPHONE
from dvface.errors import UserError

ROOMY = Limits(megabytes=10, seconds=60, pixels=1_000_000)


def test_real_footage_is_counted_without_decoding_it() -> None:
    path = CARPHONE.locate()
    assert path is not None
    upload = ROOMY.admit(path)
    assert (upload.frames, upload.width, upload.height) == (120, 176, 144)
    with av.open(str(path)) as container:
        promised = container.streams.video[0]
        assert upload.rate == promised.average_rate
        assert upload.seconds == pytest.approx(float(120 / promised.average_rate), abs=0.05)


@pytest.mark.parametrize(
    ("limits", "words"),
    [
        (Limits(1e-4, 60, 1_000_000), "MB and this page takes at most 0.0001"),
        (Limits(10, 0.2, 1_000_000), "lasts 0.3 seconds and this page takes at most 0.2"),
        (Limits(10, 60, 3071), "64 × 48 pixels and this page takes at most 3071"),
    ],
)
def test_a_video_over_a_limit_is_refused_in_one_sentence_that_says_which(
    limits: Limits, words: str, tmp_path: Path
) -> None:
    clip = write_clip(tmp_path / "old.mp4")
    with pytest.raises(UserError) as refusal:
        limits.admit(clip)
    sentence = str(refusal.value)
    assert sentence.startswith("old.mp4 ")
    assert words in sentence
    assert "dvface restore" in sentence
    assert "\n" not in sentence


def test_a_video_exactly_at_the_limits_is_taken(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "old.mp4", frames=10)
    limits = Limits(clip.stat().st_size / 1e6, 10 / 25, 64 * 48)
    assert limits.admit(clip).frames == 10


def test_a_stream_without_times_lasts_as_long_as_its_frames(tmp_path: Path) -> None:
    with (
        av.open(str(write_clip(tmp_path / "clip.mp4", frames=12))) as source,
        av.open(str(tmp_path / "raw.h264"), "w") as raw,
    ):
        stream = raw.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                raw.mux(packet)
    upload = look(tmp_path / "raw.h264", 10_000)
    assert upload.frames == 12
    assert upload.seconds == pytest.approx(12 / 25, abs=0.05)


def test_the_rate_of_a_web_camera_is_measured_where_the_container_promises_nonsense(tmp_path: Path) -> None:
    # recorders in browsers stamp milliseconds and promise a thousand frames a second, or none
    with av.open(str(tmp_path / "camera.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=1000)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(10):
            frame = av.VideoFrame(64, 48, "yuv420p")
            frame.pts, frame.time_base = 40 * number, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    upload = look(tmp_path / "camera.mkv", 10_000)
    assert float(upload.rate) == pytest.approx(25, rel=0.01)
    assert upload.seconds == pytest.approx(0.4, abs=0.01)


def test_a_text_file_is_no_video_whatever_its_name(tmp_path: Path) -> None:
    (tmp_path / "letter.mp4").write_text("dear restorer\n" * 50)
    with pytest.raises(UserError, match=r"letter\.mp4"):
        ROOMY.admit(tmp_path / "letter.mp4")


def test_an_upload_that_was_removed_meanwhile_is_asked_for_again(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^old\.mp4 is no longer here; choose it again$"):
        ROOMY.admit(tmp_path / "old.mp4")


def test_the_result_is_named_after_the_input() -> None:
    assert restored_name("grandma 1962.mp4") == "grandma 1962-restored.mp4"
    assert restored_name("tape.MKV") == "tape-restored.mkv"
    assert restored_name("tape.avi") == "tape-restored.mp4"
    assert restored_name("a.b.webm") == "a.b-restored.mp4"


def test_limits_say_themselves_to_the_visitor() -> None:
    assert Limits(200, 120, 2_100_000).line() == "up to 200 MB, 120 seconds and 2.1 megapixels a frame"


def test_looking_leaves_the_file_as_it_is(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4")
    copy = shutil.copy(clip, tmp_path / "copy.mp4")
    ROOMY.admit(clip)
    assert clip.read_bytes() == Path(copy).read_bytes()
