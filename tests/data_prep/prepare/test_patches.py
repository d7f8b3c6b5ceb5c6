import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data_prep.prepare.faces import face_at, ramp

from dvface.data_prep.prepare.crops import Aligned, Centred
from dvface.perception.alignment import to_template
from dvface.perception.patches import inside, render, square_centre, take_patch

WHOLE = (0, 0, 500, 400)


def crop_of(x: float, y: float, side: float, degrees: float = 0.0, size: int = 64) -> tuple[np.ndarray, float]:
    found = face_at(x, y, side, degrees)
    patch = take_patch(ramp(400, 500), WHOLE, found, Aligned().reach, size)
    matrix = to_template(found.landmarks)
    drawn = render(patch, matrix, size)
    assert drawn is not None
    return drawn.astype(float), inside(patch, matrix)


@settings(deadline=None, max_examples=40)
@given(st.floats(190, 310), st.floats(190, 210), st.floats(40, 250), st.floats(-40, 40), st.sampled_from([32, 64, 100]))
def test_each_pixel_of_an_aligned_crop_shows_its_place_in_the_footage(
    x: float, y: float, side: float, degrees: float, size: int
) -> None:
    drawn, share = crop_of(x, y, side, degrees, size)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rows, columns = np.mgrid[:size, :size]
    places = (np.stack([columns, rows], axis=-1) / size - 0.5) * side @ turn.T + [x, y]
    inner = slice(2, -2)
    np.testing.assert_allclose(drawn[inner, inner, 0], places[inner, inner, 0] / 2, atol=1.6)
    np.testing.assert_allclose(drawn[inner, inner, 1], places[inner, inner, 1] / 2, atol=1.6)
    assert share == pytest.approx(1, abs=1e-3)


def test_a_crop_that_is_smaller_than_its_face_does_not_alias() -> None:
    # A pattern of single pixels: any sampling without averaging would show some of it.
    checks = np.indices((400, 500)).sum(0) % 2 * 255
    pixels = np.repeat(checks[..., None], 3, axis=-1).astype(np.uint8)
    found = face_at(250, 200, 330)
    patch = take_patch(pixels, WHOLE, found, Aligned().reach, 64)
    drawn = render(patch, to_template(found.landmarks), 64)
    assert drawn is not None
    assert np.abs(drawn.astype(float) - 127.5).max() < 4


@given(st.floats(-100, 600), st.floats(20, 200))
@settings(deadline=None, max_examples=40)
def test_the_share_inside_the_picture_is_the_area_within_it(x: float, side: float) -> None:
    found = face_at(x, 200, side)
    patch = take_patch(ramp(400, 500), WHOLE, found, Aligned().reach, 64)
    overlap = max(0.0, min(x + side / 2, 499.5) - max(x - side / 2, -0.5)) / side
    assert inside(patch, to_template(found.landmarks)) == pytest.approx(overlap, abs=1e-3)


def test_black_bars_are_not_picture() -> None:
    found = face_at(250, 200, 100)
    patch = take_patch(ramp(400, 500), (0, 200, 500, 400), found, Aligned().reach, 64)
    assert inside(patch, to_template(found.landmarks)) == pytest.approx(0.505, abs=1e-3)


def test_beyond_the_frame_the_picture_is_mirrored_and_beyond_the_patch_there_is_no_crop() -> None:
    found = face_at(20, 200, 100)
    patch = take_patch(ramp(400, 500), WHOLE, found, Aligned().reach, 50)
    drawn = render(patch, to_template(found.landmarks), 50)
    assert drawn is not None
    np.testing.assert_allclose(drawn[25, :15, 0].astype(float), np.arange(30, 0, -2) / 2, atol=2)
    assert render(patch, to_template(face_at(160, 200, 100).landmarks), 50) is None


def test_a_patch_is_a_copy_and_a_large_one_is_shrunk() -> None:
    pixels = ramp(400, 500)
    near = take_patch(pixels, WHOLE, face_at(250, 200, 60), 1.0, 64)
    assert near.pixels.base is None
    assert near.pixels.shape[:2] == (120, 120)
    far = take_patch(pixels, WHOLE, face_at(250, 200, 200), 1.0, 64)
    assert far.shrink == 3
    assert far.pixels.shape[:2] == (400 // 3, 400 // 3)


def test_aligned_crops_bring_every_face_to_the_template() -> None:
    marks = np.stack([face_at(100 + 3 * step, 90, 60 + step, 2 * step).landmarks for step in range(9)])
    matrices = Aligned().matrices(marks)
    brought = np.einsum("tij,tnj->tni", matrices[:, :, :2], marks) + matrices[:, None, :, 2]
    np.testing.assert_allclose(brought, np.broadcast_to(brought[0], brought.shape), atol=1e-4)
    np.testing.assert_allclose(square_centre(marks)[:, 0], 100 + 3 * np.arange(9), atol=1e-3)


def test_a_centred_crop_stands_still_around_all_places_of_the_face() -> None:
    marks = np.stack([face_at(100 + 4 * step, 90, 50 + step).landmarks for step in range(9)])
    crop = Centred(enlarge=1.5, most_drift=0.4)
    matrices = crop.matrices(marks)
    assert np.array_equal(matrices, np.broadcast_to(matrices[0], matrices.shape))
    # The middle of the way, and one and a half times the largest span.
    np.testing.assert_allclose(matrices[0] @ [116, 90, 1], [0.5, 0.5], atol=1e-5)
    assert matrices[0, 0, 0] == pytest.approx(1 / (1.5 * 58), rel=1e-5)
    with pytest.raises(ValueError, match="enlarge"):
        Centred(0, 1)


@pytest.mark.parametrize("way", [(1, 0), (0, 1), (0.6, 0.8)])
def test_a_face_that_leaves_the_middle_of_its_square_is_refused(way: tuple[float, float]) -> None:
    crop = Centred(enlarge=1.2, most_drift=0.3)

    def swaying(drift: float) -> np.ndarray:
        # The face of the middle is the largest: drift is counted in its spans.
        places = [(step * drift * 100, 100 if step == 0 else 80) for step in (-1, 0, 1)]
        return np.stack([face_at(200 + way[0] * far, 200 + way[1] * far, side).landmarks for far, side in places])

    assert crop.refusal(swaying(0.29)) is None
    assert crop.refusal(swaying(0.44)) == "drift 0.44 is above most_drift=0.3"
    assert Aligned().refusal(swaying(0.44)) is None
