import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data_prep.prepare.faces import face_at, ramp

from dvface.data_prep.prepare.assembly import Assembler, TrackClip
from dvface.data_prep.prepare.frames import RawFrame
from dvface.perception.detection import Face
from dvface.perception.tracks import Tracker, fill_missed, smooth

PIXELS = ramp(60, 120)


def assembler(frames: int = 5, sigma: float = 1.0) -> Assembler:
    return Assembler(Tracker(most_step=0.3, most_growth=1.4, most_missed=2, most_faces=3), frames, sigma, 0.9, 16)


def clips_of(own: Assembler, seen: list[list[Face]], cuts: tuple[int, ...] = ()) -> list[TrackClip]:
    found: list[TrackClip] = []
    for index, faces in enumerate(seen):
        found += own.feed(RawFrame(index, index / 25, PIXELS, index > 0 and index not in cuts), faces)
    return found + list(own.end())


def indices(clip: TrackClip) -> list[int]:
    return [glimpse.index for glimpse in clip.glimpses]


def walk(frames: int) -> list[list[Face]]:
    return [[face_at(30 + step, 30, 30)] for step in range(frames)]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 40), st.sampled_from([1, 5, 9]), st.sampled_from([0.0, 1.0, 3.0]))
def test_clips_follow_one_another_and_nothing_is_lost_or_doubled(frames: int, length: int, sigma: float) -> None:
    own = assembler(length, sigma)
    clips = clips_of(own, walk(frames))
    assert [index for clip in clips for index in indices(clip)] == list(range(frames - frames % length))
    left = own.counts["face_frames_that_fill_no_clip"] + own.counts["face_frames_of_tracks_too_short"]
    assert left == frames % length


def test_landmarks_are_those_of_the_whole_track_smoothed_as_if_it_were_known_at_once() -> None:
    random = np.random.default_rng(0)
    seen = [[face_at(30 + step + random.normal(), 30, 30)] for step in range(40)]
    marks = np.stack([faces[0].landmarks for faces in seen])
    clips = clips_of(assembler(5, 1.0), seen)
    smoothed = np.concatenate([clip.smoothed for clip in clips])
    np.testing.assert_allclose(np.concatenate([clip.landmarks for clip in clips]), marks)
    np.testing.assert_allclose(smoothed, smooth(marks, 1.0), atol=1e-9)


@settings(deadline=None, max_examples=60)
@given(st.data(), st.sampled_from([1, 2, 5]), st.sampled_from([0.0, 0.5, 2.0]), st.integers(1, 4))
def test_missed_frames_lie_between_seen_ones_however_clips_are_cut(
    data: st.DataObject, length: int, sigma: float, most_missed: int
) -> None:
    gaps = data.draw(st.lists(st.integers(0, most_missed), min_size=1, max_size=12))
    found = [True, *(one for gap in gaps for one in [*[False] * gap, True])]
    random = np.random.default_rng(len(found))
    faces = [face_at(30 + step + random.normal(), 30, 30) for step in range(len(found))]
    own = Assembler(Tracker(0.9, 1.4, most_missed, 3), length, sigma, 0.9, 16)
    clips = clips_of(own, [[face] if one else [] for face, one in zip(faces, found, strict=True)])
    whole = fill_missed(np.stack([face.landmarks for face in faces]), np.array(found))
    used = len(found) - len(found) % length
    assert [index for clip in clips for index in indices(clip)] == list(range(used))
    if clips:
        np.testing.assert_allclose(np.concatenate([clip.landmarks for clip in clips]), whole[:used], atol=1e-9)
        smoothed = np.concatenate([clip.smoothed for clip in clips])
        np.testing.assert_allclose(smoothed, smooth(whole, sigma)[:used], atol=1e-6)


def test_a_cut_ends_tracks_and_two_faces_give_clips_each() -> None:
    both = [[face_at(30, 30, 30), face_at(90, 30, 30)] for _ in range(12)]
    clips = clips_of(assembler(), both, cuts=(6,))
    assert [(clip.track, indices(clip)[0]) for clip in clips] == [(0, 0), (1, 0), (2, 6), (3, 6)]


def test_missed_frames_are_filled_in_and_those_after_the_last_sighting_are_not_of_the_track() -> None:
    seen = walk(10)
    seen[3] = []
    seen[9] = []
    own = assembler(9, 0.0)
    (clip,) = clips_of(own, [*seen, [], []])
    assert indices(clip) == list(range(9))
    assert [glimpse.seen for glimpse in clip.glimpses] == [index != 3 for index in range(9)]
    np.testing.assert_allclose(clip.landmarks[3], face_at(33, 30, 30).landmarks, atol=1e-4)
    assert own.counts["frames_without_face"] == 4
    assert own.counts["face_frames_that_fill_no_clip"] == 0


def test_a_clip_in_which_the_face_was_missed_throughout_is_filled_in() -> None:
    seen = [faces if index in (0, 3) else [] for index, faces in enumerate(walk(4))]
    clips = clips_of(assembler(1, 0.0), seen)
    assert [indices(clip)[0] for clip in clips] == [0, 1, 2, 3]
    for index, clip in enumerate(clips):
        np.testing.assert_allclose(clip.landmarks[0], face_at(30 + index, 30, 30).landmarks, atol=1e-4)


@pytest.mark.parametrize("length", [1, 5])
@pytest.mark.parametrize("sigma", [0.0, 2.0])
def test_no_more_is_kept_than_a_clip_the_frames_ahead_and_those_missed(sigma: float, length: int) -> None:
    own = assembler(length, sigma)
    for index, faces in enumerate(walk(40)):
        found = faces if index % 3 == 0 else []
        list(own.feed(RawFrame(index, index / 25, PIXELS, index > 0), found))
        (track,) = own._tracks.values()
        assert track.seen < length + own.ahead
        assert len(track.waiting) < length + own.ahead + 2
        assert len(track.past) <= max(1, own.ahead)
