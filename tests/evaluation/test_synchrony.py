import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.evaluation.synchrony import BAND, Run, find_runs

SIDE = 16


def moving_texture(frames: int, seed: int) -> np.ndarray:
    """(frames, SIDE, SIDE) float32 levels: a smooth random picture under an unsteady camera."""
    rng = np.random.default_rng(seed)
    picture = cv2.GaussianBlur(rng.normal(size=(128, 128)), (0, 0), 2.0)
    picture = (128 + 40 * picture / picture.std()).astype(np.float32)
    steps = cv2.GaussianBlur(rng.normal(size=(frames, 2)), (1, 9), 0, sigmaY=1.5)
    places = 64 + np.clip(np.cumsum(steps, axis=0), -40, 40)
    return np.stack([cv2.getRectSubPix(picture, (SIDE, SIDE), (float(x), float(y))) for x, y in places])


def offsets(runs: tuple[Run, ...]) -> list[int]:
    return [run.offset for run in runs]


def changed_looks(video: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Other brightness and contrast, a dirty lens, blur and fresh noise in each frame."""
    blurred = np.stack([cv2.GaussianBlur(frame, (3, 3), 0.8) for frame in video])
    dirt = rng.normal(scale=8, size=video.shape[1:])
    flicker = rng.normal(scale=3, size=(len(video), 1, 1))
    return (0.8 * blurred + 25 + dirt + flicker + rng.normal(scale=2, size=video.shape)).astype(np.float32)


def test_a_video_is_in_step_with_itself() -> None:
    video = moving_texture(60, 0)
    found = find_runs(video, video)
    assert found.known
    assert found.runs == (Run(0, 0, 60),)
    assert found.offset == 0


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), offset=st.integers(-10, 10))
def test_a_constant_offset_is_found_under_changed_looks(seed: int, offset: int) -> None:
    video = moving_texture(130, seed)
    restored = changed_looks(video, np.random.default_rng(seed))[max(0, offset) : 110 + min(0, offset)]
    found = find_runs(restored, video[max(0, -offset) : 120])
    assert found.known
    assert found.offset == offset
    # some textures repeat themselves after a few frames, for a few frames
    in_step = sum(run.frames for run in found.runs if run.offset == offset)
    assert in_step >= 0.9 * sum(run.frames for run in found.runs)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), place=st.integers(30, 90), lost=st.sampled_from([1, 2, 3, 7]))
def test_dropped_frames_are_found_where_they_are_missing(seed: int, place: int, lost: int) -> None:
    video = moving_texture(130, seed)
    looks = changed_looks(video, np.random.default_rng(seed))
    found = find_runs(np.delete(looks, range(place, place + lost), axis=0), video)
    assert offsets(found.runs) == [0, lost]
    assert abs(found.runs[1].restored - place) <= 3
    assert sum(run.frames for run in found.runs) == 130 - lost


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), place=st.integers(30, 90), times=st.sampled_from([1, 2, 5]))
def test_repeated_frames_are_found_and_left_out(seed: int, place: int, times: int) -> None:
    video = moving_texture(130, seed)
    looks = changed_looks(video, np.random.default_rng(seed))
    found = find_runs(np.insert(looks, [place] * times, looks[place], axis=0), video)
    assert offsets(found.runs) == [0, -times]
    assert abs(found.runs[0].frames - place) <= 3
    assert found.runs[-1].restored + found.runs[-1].frames == 130 + times


def test_several_drops_and_repeats_in_one_video_are_all_found() -> None:
    video = moving_texture(400, 3)
    kept = [*range(4, 80), *range(82, 200), *[200] * 4, *range(201, 300), *range(303, 400)]
    found = find_runs(changed_looks(video, np.random.default_rng(3))[kept], video)
    # 4 are missing at the start, 2 more are lost, 3 are repeats, 3 more are lost
    assert offsets(found.runs) == [4, 6, 3, 6]
    for run in found.runs:
        truth = kept[run.restored : run.restored + run.frames]
        wrong = sum(shown != run.reference + i for i, shown in enumerate(truth))
        assert wrong <= 2


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), frames=st.integers(20, 150))
def test_changed_looks_raise_no_false_alarm(seed: int, frames: int) -> None:
    video = moving_texture(frames, seed)
    found = find_runs(changed_looks(video, np.random.default_rng(seed)), video)
    assert found.runs == (Run(0, 0, frames),)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_stalls_after_which_the_video_is_in_step_again_raise_no_alarm(seed: int) -> None:
    video = moving_texture(150, seed)
    stalled = video.copy()
    for place in range(10, 140, 12):
        stalled[place + 1 : place + 4] = stalled[place]
    assert all(run.offset == 0 for run in find_runs(stalled, video).runs)


def test_frames_after_the_references_end_belong_to_no_run() -> None:
    video = moving_texture(100, 1)
    assert find_runs(video, video[:88]).runs == (Run(0, 0, 88),)
    assert find_runs(video[:88], video).runs == (Run(0, 0, 88),)


@pytest.mark.parametrize("noise", [0.0, 3.0])
def test_still_footage_cannot_tell_and_is_taken_as_it_lies(noise: float) -> None:
    rng = np.random.default_rng(0)
    picture = moving_texture(1, 0)
    restored = np.repeat(picture, 90, axis=0) + rng.normal(scale=noise, size=(90, SIDE, SIDE))
    found = find_runs(restored.astype(np.float32), np.repeat(picture, 80, axis=0))
    assert not found.known
    assert found.runs == (Run(0, 0, 80),)
    assert found.offset == 0


def test_unrelated_footage_cannot_tell() -> None:
    known = [find_runs(moving_texture(120, seed), moving_texture(120, seed + 100)).known for seed in range(10)]
    assert sum(known) == 0


def test_offsets_beyond_the_band_are_not_reported_as_another_offset() -> None:
    video = moving_texture(300, 5)
    found = find_runs(video[BAND + 5 :], video)
    assert not found.known


@pytest.mark.parametrize("frames", [1, 2, 5, 9])
def test_a_few_frames_cannot_tell(frames: int) -> None:
    video = moving_texture(frames, 0)
    found = find_runs(video, video)
    assert found.runs == (Run(0, 0, frames),)


def test_pictures_of_different_sizes_are_refused() -> None:
    video = moving_texture(20, 0)
    with pytest.raises(ValueError, match="shapes"):
        find_runs(video, video[:, :8])
    with pytest.raises(ValueError, match="shapes"):
        find_runs(video, video[:0])


def test_real_footage_is_in_step_with_its_compressed_twin(carphone: np.ndarray) -> None:
    from dvface.data.footage import CARPHONE_DISTORTED, read_packaged

    def small(frames: np.ndarray) -> np.ndarray:
        grey = frames.astype(np.float32).mean(axis=-1)
        return np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for frame in grey])

    clean, distorted = small(carphone), small(read_packaged(CARPHONE_DISTORTED))
    assert find_runs(distorted, clean).runs == (Run(0, 0, 120),)
    assert find_runs(distorted[7:], clean).runs == (Run(0, 7, 113),)
    assert offsets(find_runs(np.delete(distorted, 50, axis=0), clean).runs) == [0, 1]


def test_time_grows_with_the_frames_alone() -> None:
    video = moving_texture(500, 0)

    def seconds(times: int) -> float:
        long = np.tile(video, (times, 1, 1))
        begin = time.process_time()
        find_runs(long, long)
        return time.process_time() - begin

    seconds(1)  # first calls load libraries
    assert seconds(8) < 30 * seconds(2)
