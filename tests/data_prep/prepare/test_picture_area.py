"""Bars are found to the pixel, and nothing else is taken for one."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.data_prep.prepare.picture_area import picture_area


def with_bars(picture: np.ndarray, left: int, top: int, right: int, bottom: int, noise: int) -> np.ndarray:
    height, width = picture.shape[:2]
    rng = np.random.default_rng(left + top)
    framed = rng.integers(0, noise + 1, (height + top + bottom, width + left + right, 3)).astype(np.uint8)
    framed[top : top + height, left : left + width] = picture
    return framed


@settings(max_examples=40, deadline=None)
@given(
    bars=st.tuples(*[st.integers(0, 60)] * 4),
    noise=st.integers(0, 24),
    height=st.integers(120, 300),
    width=st.integers(120, 300),
)
def test_bars_around_light_pictures_are_found_to_the_pixel(bars, noise: int, height: int, width: int) -> None:
    left, top, _, _ = bars
    picture = np.random.default_rng(height).integers(40, 256, (height, width, 3)).astype(np.uint8)
    assert picture_area(with_bars(picture, *bars, noise)) == (left, top, left + width, top + height)


def test_bars_around_real_footage_survive_compression(carphone: np.ndarray) -> None:
    framed = with_bars(carphone[0], 0, 40, 0, 30, 0)
    _, data = cv2.imencode(".jpg", framed[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 60])
    left, top, right, bottom = picture_area(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])
    assert (left, right) == (0, 176)
    assert abs(top - 40) <= 2
    assert abs(bottom - 184) <= 2


def test_real_footage_without_bars_is_all_picture(carphone: np.ndarray) -> None:
    # Its first columns are black.
    assert {picture_area(frame) for frame in carphone[::10, :, 4:]} == {(0, 0, 172, 144)}


@pytest.mark.parametrize("level", [0, 12, 24])
def test_a_black_frame_is_all_picture(level: int) -> None:
    assert picture_area(np.full((90, 160, 3), level, np.uint8)) == (0, 0, 160, 90)


@given(x=st.integers(60, 260), y=st.integers(60, 180), radius=st.integers(20, 60), light=st.integers(60, 255))
@settings(max_examples=30, deadline=None)
def test_a_head_in_the_dark_is_no_picture_within_bars(x: int, y: int, radius: int, light: int) -> None:
    frame = np.zeros((240, 320, 3), np.uint8)
    cv2.ellipse(frame, (x, y), (radius, int(radius * 1.3)), 0, 0, 360, (light,) * 3, -1)
    assert picture_area(frame) == (0, 0, 320, 240)


def test_a_dark_strip_that_does_not_span_the_side_is_picture(carphone: np.ndarray) -> None:
    frame = carphone[0, :, 4:].copy()
    frame[:30, :150] = 0
    assert picture_area(frame) == (0, 0, 172, 144)


@given(height=st.integers(1, 9), width=st.integers(1, 9), level=st.integers(0, 255))
def test_tiny_frames_give_an_area_within_them(height: int, width: int, level: int) -> None:
    frame = np.full((height, width, 3), level, np.uint8)
    frame[0, 0] = 255 - level
    left, top, right, bottom = picture_area(frame)
    assert 0 <= left < right <= width
    assert 0 <= top < bottom <= height
