from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.video.reformatter import ColorRange
from PIL import Image

from dvface.errors import UserError
from dvface.evaluation.examine import LUMA, SIDE, Bars, Examined, examine
from dvface.video.read import read_frames
from dvface.video.write import EXACT, LOSSLESS, write_video

RATE = Fraction(30000, 1001)


def look(path: Path) -> Examined:
    return examine(path, lambda frames: None)


def means_of_rgb(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Signatures computed the slow way: from the RGB pixels that measures see, cell by cell."""
    found = []
    for frame in frames:
        luma = frame.astype(np.float64) @ LUMA[0]
        rows = [band.mean(axis=0) for band in np.array_split(luma, SIDE, axis=0)]
        found.append([[cell.mean() for cell in np.array_split(row, SIDE)] for row in rows])
    return np.array(found)


def write_full_range(path: Path, frames: np.ndarray, tagged: bool = True) -> None:
    """Full-range 4:2:0, as phones record."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"qp": "0"})
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = "yuv420p"
        if tagged:
            stream.codec_context.color_range = ColorRange.JPEG
        for frame in frames:
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            container.mux(stream.encode(picture.reformat(format="yuv420p", dst_color_range=ColorRange.JPEG)))
        container.mux(stream.encode(None))


@pytest.fixture
def footage(carphone: np.ndarray) -> np.ndarray:
    """(12, 144, 176, 3): cells of 9 by 11 pixels."""
    return carphone[:12]


def test_facts_of_a_video_file(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, footage, RATE)
    counted: list[int] = []
    seen = examine(path, counted.append)
    assert (seen.path, seen.frames, seen.width, seen.height) == (path, 12, 176, 144)
    assert seen.rate == RATE
    assert seen.colour_range == "limited"
    assert not seen.bars
    assert seen.signatures.shape == (12, SIDE, SIDE)
    assert seen.signatures.dtype == np.float32
    assert sum(counted) == 12


def test_a_folder_of_frames_is_seen_like_its_exact_video(tmp_path: Path, footage: np.ndarray) -> None:
    folder, video = tmp_path / "frames", tmp_path / "clip.mkv"
    folder.mkdir()
    for number, frame in enumerate(footage):
        Image.fromarray(frame).save(folder / f"{number}.png")
    write_video(video, footage, RATE, **EXACT)
    of_folder, of_video = look(folder), look(video)
    assert of_folder.rate is None
    assert of_folder.colour_range is None
    assert (of_folder.frames, of_folder.width, of_folder.height) == (12, 176, 144)
    np.testing.assert_allclose(of_folder.signatures, means_of_rgb(footage), atol=1e-2)
    np.testing.assert_array_equal(of_folder.signatures, of_video.signatures)


def test_signatures_are_the_brightness_that_measures_see(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, footage, RATE, **LOSSLESS)
    np.testing.assert_allclose(look(path).signatures, means_of_rgb(footage), atol=0.6)


def test_full_range_is_told_and_read_as_such(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "full.mp4"
    grey = np.repeat(footage[..., 1:2], 3, axis=-1)
    write_full_range(path, grey)
    seen = look(path)
    assert seen.colour_range == "full"
    np.testing.assert_allclose(seen.signatures, means_of_rgb(read_frames(path)), atol=1.0)
    np.testing.assert_allclose(seen.signatures, means_of_rgb(grey), atol=1.0)


def test_a_file_that_does_not_say_its_range_is_read_as_limited(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "untold.mp4"
    grey = np.repeat(footage[..., 1:2], 3, axis=-1)
    write_full_range(path, grey, tagged=False)
    seen = look(path)
    assert seen.colour_range is None
    np.testing.assert_allclose(seen.signatures, means_of_rgb(read_frames(path)), atol=1.0)


def test_ten_bits_give_the_levels_of_eight(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "ten.mkv"
    write_video(path, footage, RATE, codec="ffv1", options={}, pixel_format="yuv444p10le")
    np.testing.assert_allclose(look(path).signatures, means_of_rgb(footage), atol=0.6)


def test_bars_are_measured_to_the_pixel_where_nothing_is_lost(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "bars.mkv"
    barred = footage.copy()
    barred[:, :18] = 0
    barred[:, -12:] = 0
    barred[:, :, :7] = 0
    write_video(path, barred, RATE, **EXACT)
    assert look(path).bars == Bars(top=18, bottom=12, left=7, right=0)


def test_bars_survive_compression_by_two_pixels(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "bars.mp4"
    barred = footage.copy()
    barred[:, :16] = 0
    barred[:, -16:] = 0
    write_video(path, barred, RATE, options={"crf": "30"})
    bars = look(path).bars
    assert abs(bars.top - 16) <= 2
    assert abs(bars.bottom - 16) <= 2
    assert (bars.left, bars.right) == (0, 0)


def test_rows_that_are_black_in_some_frames_only_are_no_bars(tmp_path: Path, footage: np.ndarray) -> None:
    path = tmp_path / "fade.mkv"
    faded = footage.copy()
    faded[:6, :20] = 0
    faded[8] = 0
    write_video(path, faded, RATE, **EXACT)
    assert not look(path).bars


def test_a_black_video_is_no_bar(tmp_path: Path) -> None:
    path = tmp_path / "black.mp4"
    write_video(path, np.zeros((5, 32, 32, 3), np.uint8), RATE)
    seen = look(path)
    assert not seen.bars
    assert float(seen.signatures.max()) == 0.0


def test_more_frames_than_one_block_of_memory_keep_their_order(tmp_path: Path) -> None:
    folder = tmp_path / "frames"
    folder.mkdir()
    for number in range(520):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((16, 16, 3), number % 256, np.uint8))
    signatures = look(folder).signatures
    np.testing.assert_allclose(signatures[:, 3, 5], np.arange(520) % 256, atol=1e-3)


def test_a_damaged_video_is_named(tmp_path: Path, footage: np.ndarray) -> None:
    whole = tmp_path / "whole.mp4"
    write_video(whole, footage, RATE)
    data = whole.read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match=r"cut\.mp4"):
        look(path)


def test_what_is_no_video_is_named(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no png or jpg"):
        look(tmp_path / "empty")
    with pytest.raises(UserError, match="does not exist"):
        look(tmp_path / "nothing.mp4")


def test_frames_that_change_size_are_refused(tmp_path: Path) -> None:
    for number, side in enumerate((16, 16, 20)):
        Image.new("RGB", (side, 16)).save(tmp_path / f"{number}.png")
    with pytest.raises(UserError, match="changes size at frame 2"):
        look(tmp_path)
