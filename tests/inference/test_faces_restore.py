import numpy as np
import pytest
import torch
from tests.inference.face_videos import Painter, faces_of, marks_at, noise, track_of

from dvface.inference.clips import from_unit, to_unit
from dvface.inference.faces.find import FindOptions, find_faces
from dvface.inference.faces.masks import EllipseMask
from dvface.inference.faces.restore import FacesRestorer
from dvface.models.restorer import Restorer
from dvface.perception.alignment import TEMPLATE, span
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.tracks import smooth

SIZES = (32, 64)


def restored(model, faces, frames, first=0, **options) -> np.ndarray:
    return FacesRestorer(model, faces, sizes=options.pop("sizes", SIZES), **options).restore(frames, first)


def still(count: int, *places: tuple[float, ...]):
    return faces_of(*(track_of([marks_at(*place)] * count) for place in places))


def disc(size: int, place: np.ndarray, radius: float) -> torch.Tensor:
    """(3, S, S): 1 around a place of the square of side 1."""
    rows, columns = np.mgrid[:size, :size] / size
    inside = np.hypot(columns - place[0], rows - place[1]) < radius
    return torch.from_numpy(inside.astype(np.float32)).expand(3, -1, -1)


def centroid(weight: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: weight.shape[0], : weight.shape[1]]
    return np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_an_identity_changes_no_bit_wherever_the_faces_are(dtype: type) -> None:
    frames = noise(6, 70, 90, dtype)
    # small and large, turned, beyond the border, beside each other, and nowhere near the picture
    places = [(40, 30, 24, 15), (50, 35, 130), (88, 68, 50), (45, 30, 28, -70), (-300, 20, 60)]
    output = restored(Painter(0.0), still(6, *places), frames)
    assert output.dtype == np.float32
    assert np.array_equal(from_unit(output, frames.dtype), frames)


def test_outside_the_masks_not_a_bit_changes_and_inside_it_does() -> None:
    frames = noise(3, 80, 120)
    output = restored(Painter(0.5), still(3, (40, 40, 50)), frames, match_colour=False)
    changed = (output != to_unit(frames)).any(axis=(0, 3))
    rows, columns = np.nonzero(changed)
    # the mask's radius of 0.48 of the square, and a pixel for its resampling
    assert min(columns.min(), rows.min()) >= 40 - 0.48 * 50 - 1
    assert max(columns.max(), rows.max()) <= 40 + 0.48 * 50 + 1
    assert changed[30:50, 30:50].all()


@pytest.mark.parametrize("side", [24.0, 50.0, 110.0])
@pytest.mark.parametrize("landmark", [0, 3])
def test_what_the_model_paints_on_a_landmark_lands_on_it_in_the_picture(side: float, landmark: int) -> None:
    frames = np.full((5, 150, 170, 3), 60, np.uint8)
    marks = np.stack([marks_at(80.3 + n, 70.6, side, 20 + n) for n in range(5)])
    # 64 pixels whether the face is smaller, as large or larger
    painter = Painter(disc(64, TEMPLATE[landmark], 0.08))
    output = restored(painter, faces_of(track_of(marks)), frames, sizes=(64,), match_colour=False)
    for picture, place in zip(output, marks[:, landmark], strict=True):
        change = picture[..., 0] - 60 / 255
        np.testing.assert_allclose(centroid(change), place, atol=0.02 * side)
        # half of a step of [-1, 1], over the disc's area; the mask is whole there
        assert change.sum() == pytest.approx(0.5 * np.pi * (0.08 * side) ** 2, rel=0.1)


def test_a_fine_pattern_in_a_crop_larger_than_its_face_leaves_its_mean_and_no_moire() -> None:
    frames = np.full((1, 100, 100, 3), 60, np.uint8)
    checks = torch.from_numpy(np.indices((64, 64)).sum(axis=0) % 2).float().expand(3, -1, -1)
    output = restored(Painter(checks), still(1, (50, 50, 13)), frames, sizes=(64,), match_colour=False)
    inner = output[0, 48:53, 48:53, 0] - 60 / 255
    np.testing.assert_allclose(inner, 0.25, atol=0.02)


def test_two_faces_are_both_restored_and_restored_together() -> None:
    frames = noise(7, 90, 160)
    painter = Painter(0.25)
    output = restored(painter, still(7, (40, 45, 48), (115, 45, 60)), frames // 2, match_colour=False)
    change = output - to_unit(frames // 2)
    np.testing.assert_allclose(change[:, 45, [40, 115]], 0.125, atol=1e-3)
    assert painter.shapes == [(2, 3, 9, 64, 64)]  # seven frames, padded to 4k+1
    one_by_one = Painter(0.25)
    apart = restored(one_by_one, still(7, (40, 45, 48), (115, 45, 60)), frames // 2, match_colour=False, batch=1)
    assert one_by_one.shapes == [(1, 3, 9, 64, 64)] * 2
    assert np.array_equal(apart, output)


def test_where_faces_overlap_the_change_is_whole_and_never_more_and_each_holds_its_middle() -> None:
    frames = np.full((2, 100, 140, 3), 60, np.uint8)
    output = restored(Painter(0.5), still(2, (50, 50, 64), (80, 50, 50)), frames, match_colour=False)
    change = output[0, ..., 0] - 60 / 255
    assert change.max() == pytest.approx(0.25, abs=1e-3)
    assert change[50, 30:95].min() > 0.24  # no seam between them

    # crops of 32 belong to the smaller face: only one of the two sizes is painted
    class OnlySmall(Painter):
        def forward(self, video):
            return video + 0.5 * (video.shape[-1] == 32)

    small = restored(OnlySmall(0.0), still(2, (50, 50, 64), (84, 50, 32)), frames, match_colour=False)[0, ..., 0]
    assert small[50, 84] - 60 / 255 > 0.8 * 0.25
    assert small[50, 50] == pytest.approx(60 / 255, abs=1e-6)


def test_the_mean_change_of_colour_is_taken_out_and_what_lies_around_it_stays() -> None:
    frames = np.full((5, 100, 100, 3), 60, np.uint8)
    faces = still(5, (50, 50, 60))
    assert np.array_equal(from_unit(restored(Painter(0.3), faces, frames), frames.dtype), frames)
    eye = disc(64, TEMPLATE[0], 0.08)
    place = tuple(np.rint(faces.tracks[0].landmarks[0, 0]).astype(int)[::-1])
    plain = restored(Painter(eye), faces, frames, match_colour=False)[0][place]
    brighter = restored(Painter(eye + 0.3), faces, frames)[0][place]
    # the disc's own mean over the mask goes with it: its area over the mask's
    share = np.pi * 0.08**2 / EllipseMask().draw([frames[0]], faces.tracks[0].landmarks[:1]).mean()
    np.testing.assert_allclose(plain - brighter, 0.5 * share, atol=2e-3)


def test_a_face_fades_in_and_out_within_a_scene_and_not_at_its_ends() -> None:
    frames = np.full((30, 64, 64, 3), 60, np.uint8)
    marks = [marks_at(32, 32, 40)] * 20
    passing = faces_of(track_of(marks, 5, opens=False, closes=False), frames=30)
    output = restored(Painter(0.5), passing, frames, match_colour=False, fade=4)
    middle = (output[:, 32, 32, 0] - 60 / 255) / 0.25
    expected = np.zeros(30)
    expected[5:25] = np.minimum(1, np.minimum(np.arange(1, 21), np.arange(20, 0, -1)) / 5)
    np.testing.assert_allclose(middle, expected, atol=1e-3)
    staying = faces_of(track_of(marks), frames=20)
    output = restored(Painter(0.5), staying, frames[:20], match_colour=False, fade=4)
    np.testing.assert_allclose(output[:, 32, 32, 0] - 60 / 255, 0.25, atol=1e-3)


def test_windows_that_share_frames_of_a_track_restore_them_alike() -> None:
    frames = noise(30, 64, 80)
    track = track_of([marks_at(30 + n, 30, 30 + n / 2, n) for n in range(18)], 6, opens=False, closes=False)
    faces = faces_of(track, frames=30)
    model = Painter(disc(32, TEMPLATE[2], 0.2) - 0.3)
    whole = restored(model, faces, frames, match_colour=False, sizes=(32,))
    for first, count in [(0, 9), (5, 9), (8, 5), (20, 10)]:
        part = restored(model, faces, frames[first : first + count], first, match_colour=False, sizes=(32,))
        assert np.array_equal(part, whole[first : first + count])
    assert np.array_equal(restored(model, faces, frames[25:], 25), to_unit(frames[25:]))  # nobody is there


def test_a_face_at_the_border_is_restored_up_to_it_and_one_mostly_outside_is_left() -> None:
    frames = np.full((3, 80, 100, 3), 60, np.uint8)
    half = restored(Painter(0.5), still(3, (8, 40, 60)), frames, match_colour=False)
    assert half[0, 40, 0, 0] - 60 / 255 == pytest.approx(0.25, abs=1e-3)
    for place in [(-15, 40, 60), (50, -20, 60), (110, 90, 60), (1000, 1000, 60)]:
        assert np.array_equal(restored(Painter(0.5), still(3, place), frames, match_colour=False), to_unit(frames))


def test_each_track_has_the_smallest_square_that_is_not_below_its_face() -> None:
    frames, painter = noise(1, 200, 400), Painter(0.0)
    restored(painter, still(1, (60, 100, 31.9), (150, 100, 33), (300, 100, 150)), frames)
    assert sorted(shape[0] * [shape[-1]] for shape in painter.shapes) == [[32], [64, 64]]


def test_strength_scales_the_change() -> None:
    frames = np.full((2, 64, 64, 3), 60, np.uint8)
    half = restored(Painter(0.5), still(2, (32, 32, 40)), frames, match_colour=False, strength=0.5)
    assert half[0, 32, 32, 0] - 60 / 255 == pytest.approx(0.125, abs=1e-3)
    painter = Painter(0.5)
    assert np.array_equal(restored(painter, still(2, (32, 32, 40)), frames, strength=0.0), to_unit(frames))
    assert painter.shapes == []


def test_detections_that_jitter_shake_neither_the_mask_nor_what_is_pasted() -> None:
    rng = np.random.default_rng(0)
    frames = np.full((48, 120, 120, 3), 90, np.uint8)
    raw = marks_at(60, 60, 80) + rng.normal(0, 0.5, (48, 5, 2))

    def shaking(marks: np.ndarray) -> float:
        output = restored(Painter(0.5), faces_of(track_of(marks)), frames, match_colour=False)[..., 0]
        edge = (output.mean(axis=0) > 90 / 255 + 0.02) & (output.mean(axis=0) < 90 / 255 + 0.23)
        return float(255 * output.std(axis=0)[edge].mean())

    before, after = shaking(raw), shaking(smooth(raw, FindOptions().smoothing))
    assert before > 3  # grey levels of 64
    assert after < 2
    assert after < 0.4 * before


@pytest.mark.parametrize("options", [{"strength": 1.2}, {"sizes": ()}, {"sizes": (64, 32)}, {"batch": 0}, {"fade": -1}])
def test_options_out_of_range_are_refused(options: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        FacesRestorer(Painter(0.0), still(1, (0, 0, 10)), **options)


def test_the_driver_of_real_footage_is_changed_and_the_car_around_him_is_not(
    carphone: np.ndarray, smallest_model: Restorer
) -> None:
    frames = carphone[:9]
    faces = find_faces(frames, DlibDetector())
    (track,) = faces.tracks
    # untrained, the model is the identity up to rounding: both ends of the chain on real pixels
    same = restored(smallest_model, faces, frames, sizes=(64, 128))
    assert np.abs(same - to_unit(frames)).max() < 2 / 255
    changed = restored(Painter(0.2), faces, frames, match_colour=False) - to_unit(frames)
    side = float(np.median(span(track.landmarks)))
    rows, columns = np.mgrid[:144, :176]
    distance = np.hypot(*(np.stack((columns, rows)) - track.landmarks[4, 2][:, None, None]))
    assert np.median(changed[4][distance < 0.2 * side]) == pytest.approx(0.1, abs=1e-3)
    assert not changed[4][distance > 0.75 * side].any()
