from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dvface.inference.whole import WholePicture
from dvface.inference.windows import WindowedRestorer


class Brighten(nn.Module):
    """Adds ``amount`` times the number of the call: shows where windows begin and how they are blended."""

    temporal_stride = 4
    spatial_multiple = 8

    def __init__(self, amount: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(amount))
        self.calls = 0
        self.shapes: list[tuple[int, ...]] = []

    def forward(self, video: Tensor) -> Tensor:
        self.shapes.append(tuple(video.shape))
        self.calls += 1
        return video + self.weight * (self.calls - 1)


@given(count=st.integers(1, 40), height=st.integers(9, 20), width=st.integers(9, 20), overlap=st.integers(0, 4))
@settings(max_examples=40, deadline=None)
def test_an_identity_gives_back_every_frame_of_any_length_and_size(count, height, width, overlap) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    model = Brighten(0.0)
    restored = np.stack(list(WindowedRestorer(WholePicture(model), window=9, overlap=overlap)(frames)))
    assert np.array_equal(restored, frames)
    assert all((shape[2] - 1) % 4 == 0 and shape[3] % 8 == 0 and shape[4] % 8 == 0 for shape in model.shapes)


def test_windows_are_cross_faded_without_a_jump() -> None:
    frames = np.full((14, 16, 16, 3), 100, np.uint8)
    restored = np.stack(list(WindowedRestorer(WholePicture(Brighten(0.2)), window=9, overlap=4)(frames)))
    levels = restored[:, 0, 0, 0].astype(int)
    assert levels[0] == 100
    assert levels[-1] == 100 + round(0.1 * 255)
    assert np.all(np.diff(levels) >= 0)
    assert np.diff(levels).max() <= 7  # a fifth of the step of 25.5 at a time, not all of it at once


def test_memory_is_one_window_however_long_the_video() -> None:
    alive = 0

    def endless() -> Iterator[np.ndarray]:
        nonlocal alive
        for _ in range(200):
            alive += 1
            yield np.zeros((16, 16, 3), np.uint8)

    ahead = 0
    for given_out, _ in enumerate(
        WindowedRestorer(WholePicture(Brighten(0.0)), window=9, overlap=2)(endless()), start=1
    ):
        ahead = max(ahead, alive - given_out)
    assert ahead <= 9


@pytest.mark.parametrize(("window", "overlap"), [(8, 2), (9, 5), (9, -1)])
def test_windows_that_do_not_fit_are_refused(window: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=r"window|overlap"):
        WindowedRestorer(WholePicture(Brighten(0.0)), window, overlap)


class Numbered:
    """Restores every frame to its number and every window's place: shows what a frame was made from."""

    temporal_stride = 4

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        numbers = np.arange(first, first + len(frames)) + 0.01 * (first % 7)
        return np.broadcast_to(numbers[:, None, None, None] / 100, frames.shape).astype(np.float32)


@given(count=st.integers(1, 60), overlap=st.integers(0, 4), begin=st.integers(0, 5))
@settings(max_examples=40, deadline=None)
def test_a_video_taken_up_later_goes_on_as_if_from_its_start(count: int, overlap: int, begin: int) -> None:
    frames = np.zeros((count, 2, 2, 3), np.uint16)
    windows = WindowedRestorer(Numbered(), 9, overlap)
    first = begin * windows.step
    whole = [frame[0, 0, 0] for frame in windows(frames)]
    later = [frame[0, 0, 0] for frame in windows(frames[first:], first)]
    assert later[windows.step :] == whole[first + windows.step :]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_frames_keep_their_depth(dtype: type) -> None:
    frames = np.random.default_rng(0).integers(0, np.iinfo(dtype).max, (3, 8, 8, 3), dtype=dtype, endpoint=True)
    restored = np.stack(list(WindowedRestorer(WholePicture(Brighten(0.0)), 5, 2)(frames)))
    assert restored.dtype == dtype
    assert np.abs(restored.astype(int) - frames).max() <= (0 if dtype is np.uint8 else 1)
