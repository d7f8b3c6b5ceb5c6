import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.data_prep.prepare.faces import face_at, ramp

from dvface.data_prep.prepare.assembly import Assembler, TrackClip
from dvface.data_prep.prepare.frames import RawFrame
from dvface.perception.detection import Face
from dvface.perception.tracks import Tracker, smooth

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
    # Near where a clip's context ends the smoothing of its last frames looks no further: the middle is exact.
    np.testing.assert_allclose(smoothed[:5], smooth(marks, 1.0)[:5], atol=1e-9)
    assert np.abs(smoothed - smooth(marks, 1.0)).max() < 0.2


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


@pytest.mark.parametrize("sigma", [0.0, 2.0])
def test_no_more_is_kept_than_a_clip_and_what_smoothing_looks_ahead_at(sigma: float) -> None:
    own = assembler(5, sigma)
    for index, faces in enumerate(walk(40)):
        list(own.feed(RawFrame(index, index / 25, PIXELS, index > 0), faces))
        (track,) = own._tracks.values()
        assert len(track.waiting) <= 5 + own.ahead
        assert len(track.past) <= own.ahead
