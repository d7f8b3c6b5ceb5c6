from pathlib import Path

import numpy as np
import pytest
from tests.inference.face_videos import KnownFaces, marks_at, numbered

from dvface.errors import UserError
from dvface.inference.faces.cuts import LEAST, Changes, find_cuts
from dvface.inference.faces.find import PIECE, FindOptions, _smoothed, find_faces
from dvface.inference.faces.found import Faces
from dvface.perception.dlib_detector import DlibDetector
from dvface.perception.tracks import smooth


def scenes(*lengths: int, speed: int = 1) -> np.ndarray:
    """Scenes of one textured picture each, which moves by so many pixels a frame."""
    rng = np.random.default_rng(3)
    frames = []
    for length in lengths:
        coarse = rng.integers(0, 256, (8, 12, 3), np.uint8)
        wide = np.kron(coarse, np.ones((16, 16, 1), np.uint8))
        frames += [wide[:64, step : step + 96] for step in range(0, length * speed, speed)]
    return np.stack(frames)


def cuts_of(frames: np.ndarray) -> list[int]:
    changes = Changes()
    for frame in frames:
        changes.add(frame)
    return find_cuts(changes)


def test_cuts_are_found_where_scenes_meet_also_close_to_each_other_and_to_the_ends() -> None:
    assert cuts_of(scenes(12, 3, 20, 2)) == [12, 15, 35]
    assert cuts_of(scenes(1, 5)) == [1]
    assert cuts_of(scenes(9)) == []


def test_frames_that_are_shown_twice_or_thrice_make_no_cuts_and_hide_none() -> None:
    for times in (2, 3):
        moving = np.repeat(scenes(12, 9, speed=5), times, axis=0)
        changes = Changes()
        for frame in moving:
            changes.add(frame)
        assert np.percentile(changes.one, 90) > LEAST  # else this would show nothing
        assert find_cuts(changes) == [12 * times]


def test_flashes_flicker_and_fades_are_no_cuts() -> None:
    frames = scenes(20)
    flash = frames.copy()
    flash[9] = 255
    assert cuts_of(flash) == []
    light = np.random.default_rng(0).uniform(-40, 40, (20, 1, 1, 1))
    calm = 70 + frames.astype(float) / 3
    assert cuts_of((calm + light).clip(0, 255).astype(np.uint8)) == []
    fade = np.linspace(1, 0, 20)[:, None, None, None]
    assert cuts_of((frames * fade).astype(np.uint8)) == []


def test_two_faces_are_followed_and_a_gap_is_filled_on_a_line() -> None:
    left = [marks_at(100 + 4 * n, 120, 80) for n in range(20)]
    right = [marks_at(400, 120, 60) for _ in range(20)]
    seen = {n: [left[n], right[n]] for n in range(20)}
    for missed in (8, 9, 10):
        seen[missed] = [right[missed]]
    faces = find_faces(numbered(20), KnownFaces(seen))
    assert faces.frames == 20
    assert [track.first for track in faces.tracks] == [0, 0]
    larger, smaller = faces.tracks
    assert np.flatnonzero(~larger.seen).tolist() == [8, 9, 10]
    # steady motion passes smoothing unchanged, so gap and ends lie where the face was
    np.testing.assert_allclose(larger.landmarks, left, atol=2e-3)
    np.testing.assert_allclose(smaller.landmarks, right, atol=2e-3)
    assert larger.opens
    assert larger.closes


def test_a_face_that_leaves_and_returns_has_two_tracks_that_neither_open_nor_close_the_scene() -> None:
    seen = {n: [marks_at(100, 100, 80)] for n in [*range(3, 13), *range(30, 40)]}
    faces = find_faces(numbered(50), KnownFaces(seen))
    assert [(track.first, track.stop) for track in faces.tracks] == [(3, 13), (30, 40)]
    assert not any(track.opens or track.closes for track in faces.tracks)


def test_a_cut_ends_tracks_though_the_next_face_stands_at_the_same_place() -> None:
    frames = scenes(10, 10)
    frames[:, 0, 0, 0] = np.arange(20)
    faces = find_faces(frames, KnownFaces({n: [marks_at(50, 30, 40)] for n in range(20)}))
    assert faces.cuts == (10,)
    assert [(track.first, track.stop, track.opens, track.closes) for track in faces.tracks] == [
        (0, 10, True, True),
        (10, 20, True, True),
    ]


def test_passing_detections_and_specks_are_dropped_and_counted_but_short_videos_keep_their_faces() -> None:
    face, speck = marks_at(200, 200, 100), marks_at(60, 60, 20)
    seen = {n: [face, *([marks_at(500, 100, 90)] if n in (4, 5) else []), speck] for n in range(12)}
    faces = find_faces(numbered(12), KnownFaces(seen))
    assert (len(faces.tracks), faces.dropped, faces.too_small) == (1, 1, 12)
    short = find_faces(numbered(2), KnownFaces(seen))
    assert len(short.tracks) == 1
    assert find_faces(iter(()), KnownFaces({})).tracks == ()


def test_looking_seldom_looks_at_both_sides_of_a_jump_and_at_the_end_and_interpolates() -> None:
    frames = scenes(10, 12)
    frames[:, 0, 0, 0] = np.arange(22)
    seen = {n: [marks_at(40 + n, 30, 40)] for n in range(22)}
    detector = KnownFaces(seen)
    faces = find_faces(frames, detector, FindOptions(every=4))
    assert detector.looked == [0, 4, 8, 9, 10, 12, 16, 20, 21]
    assert [(track.first, track.stop) for track in faces.tracks] == [(0, 10), (10, 22)]
    first = faces.tracks[0]
    assert np.flatnonzero(first.seen).tolist() == [0, 4, 8, 9]
    np.testing.assert_allclose(first.landmarks, [seen[n][0] for n in range(10)], atol=2e-3)


def test_what_was_found_survives_json_to_the_last_digit_and_other_files_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    seen = {n: [marks_at(*rng.normal((100, 90), 1), 80)] for n in (1, 2, 3, 5, 6, 7, 8)}
    faces = find_faces(numbered(12), KnownFaces(seen))
    faces.write(tmp_path / "faces.json")
    again = Faces.read(tmp_path / "faces.json")
    assert (again.frames, again.cuts, again.dropped, again.detector) == (12, (), 0, "known")
    (one,), (other,) = faces.tracks, again.tracks
    assert np.array_equal(one.landmarks, other.landmarks)
    assert np.array_equal(one.seen, other.seen)
    assert (one.first, one.opens, one.closes) == (other.first, other.opens, other.closes)
    (tmp_path / "text.json").write_text("[1, 2")
    (tmp_path / "later.json").write_text('{"layout": 2, "tracks": []}')
    for name in ("text.json", "later.json", "missing.json"):
        with pytest.raises(UserError, match=name):
            Faces.read(tmp_path / name)


def test_long_tracks_are_smoothed_in_pieces_to_the_same_numbers() -> None:
    points = np.random.default_rng(2).normal(size=(PIECE + 300, 5, 2)).cumsum(axis=0)
    np.testing.assert_allclose(_smoothed(points, 5), smooth(points, 5), atol=1e-9)


def test_smoothing_takes_most_of_the_jitter_out_of_a_face_that_stands_still() -> None:
    rng = np.random.default_rng(4)
    still = marks_at(200, 150, 100)
    faces = find_faces(numbered(60), KnownFaces({n: [still + rng.normal(0, 1.5, (5, 2))] for n in range(60)}))
    # a Gaussian of 5 frames leaves 1/sqrt(2·sqrt(pi)·5) = 0.24 of white noise
    assert faces.tracks[0].landmarks.std(axis=0).mean() < 0.35 * 1.5


@pytest.mark.parametrize("name", ["every", "batch", "most_faces", "least_frames"])
def test_options_below_one_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        FindOptions(**{name: 0})


def test_the_driver_is_followed_through_real_footage_also_when_looked_at_seldom(carphone: np.ndarray) -> None:
    detector = DlibDetector()
    often = find_faces(carphone[:24], detector)
    seldom = find_faces(carphone[:24], detector, FindOptions(every=3))
    for faces in (often, seldom):
        assert faces.cuts == ()
        assert [(track.first, track.stop) for track in faces.tracks] == [(0, 24)]
    apart = np.linalg.norm(often.tracks[0].landmarks - seldom.tracks[0].landmarks, axis=-1)
    assert apart.mean() < 1.0  # pixels; the face's square has about 120
