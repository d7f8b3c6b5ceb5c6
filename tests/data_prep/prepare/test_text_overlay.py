import cv2
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont
from tests.data_prep.prepare.face_clips import MAN, WOMAN, face_clip, still

from dvface.data.footage import PORTRAIT, read_picture
from dvface.data_prep.prepare.text_overlay import TextOverlay

LINE = "This is what he said"
MARKS = (WOMAN - np.float32([110, 0])) * 3
"""In the part of the portrait that is used."""


def subtitled(frames: np.ndarray, place: tuple[int, int], height: int, pen: str) -> np.ndarray:
    """The frames with a line of text drawn into them, white with a black rim."""
    written = frames.copy()
    for frame in written:
        if pen == "opencv":
            for colour, width in ((0, height // 4), (255, max(1, height // 10))):
                cv2.putText(
                    frame, LINE, place, cv2.FONT_HERSHEY_SIMPLEX, height / 30, (colour,) * 3, width, cv2.LINE_AA
                )
        else:
            picture = Image.fromarray(frame)
            font = ImageFont.load_default(height)
            ImageDraw.Draw(picture).text(
                (place[0], place[1] - height), LINE, fill=(255,) * 3, font=font, stroke_width=2, stroke_fill=(0, 0, 0)
            )
            frame[:] = np.asarray(picture)
    return written


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """Enlarged threefold, so that text is sharper than the face."""
    return cv2.resize(read_picture(PORTRAIT)[:230, 110:340], None, fx=3, fy=3, interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("pen", "height"), [("opencv", 28), ("opencv", 40), ("pillow", 20), ("pillow", 40)])
def test_subtitles_are_found(portrait, pen, height):
    clean = still(portrait, 5)
    marks = MARKS
    written = subtitled(clean, (140, 520), height, pen)
    assert TextOverlay(0.005)(face_clip(clean, marks, 512)).reason is None
    assert TextOverlay(0.005)(face_clip(written, marks, 512)).reason is not None


def test_text_that_stands_still_while_the_crop_follows_the_face_is_found(portrait):
    frames = subtitled(still(portrait, 5), (140, 520), 28, "pillow")
    marks = MARKS + np.arange(5)[:, None, None] * (6.0, 2.0)
    assert TextOverlay(0.005)(face_clip(frames, marks, 512)).reason is not None


def test_text_that_wanders_through_the_footage_is_no_overlay(portrait):
    drawn = [subtitled(portrait[None], (100, 470 + 70 * step), 20, "pillow")[0] for step in range(3)]
    assert TextOverlay(0.005)(face_clip(np.stack(drawn), MARKS, 512)).reason is None


def test_a_clean_clip_measures_nothing(carphone):
    assert TextOverlay(0)(face_clip(carphone[:9], MAN)).measures == {"text": 0.0}


def test_the_share_grows_with_the_text(portrait):
    shares = [
        TextOverlay(0)(face_clip(subtitled(still(portrait, 3), (140, 520), height, "pillow"), MARKS, 512))
        for height in (20, 40)
    ]
    small, large = (verdict.measures["text"] for verdict in shares)
    assert 0 < small < large < 0.25


def test_one_frame_suffices(portrait):
    clip = face_clip(subtitled(still(portrait, 1), (140, 520), 28, "pillow"), MARKS, 512)
    assert TextOverlay(0.005)(clip).reason is not None
    assert TextOverlay(0.9)(clip).reason is None
