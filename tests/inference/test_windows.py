from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dvface.errors import UserError
from dvface.inference.restore import restore_file
from dvface.inference.windows import WindowedRestorer
from dvface.models.restorer import Restorer
from dvface.video.read import read_video
from dvface.video.write import write_video


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
    restored = np.stack(list(WindowedRestorer(model, window=9, overlap=overlap)(frames)))
    assert np.array_equal(restored, frames)
    assert all((shape[2] - 1) % 4 == 0 and shape[3] % 8 == 0 and shape[4] % 8 == 0 for shape in model.shapes)


def test_windows_are_cross_faded_without_a_jump() -> None:
    frames = np.full((14, 16, 16, 3), 100, np.uint8)
    restored = np.stack(list(WindowedRestorer(Brighten(0.2), window=9, overlap=4)(frames)))
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
    for given_out, _ in enumerate(WindowedRestorer(Brighten(0.0), window=9, overlap=2)(endless()), start=1):
        ahead = max(ahead, alive - given_out)
    assert ahead <= 9


@pytest.mark.parametrize(("window", "overlap"), [(8, 2), (9, 5), (9, -1)])
def test_windows_that_do_not_fit_are_refused(window: int, overlap: int) -> None:
    with pytest.raises(ValueError, match=r"window|overlap"):
        WindowedRestorer(Brighten(0.0), window, overlap)


def test_a_file_is_restored_at_its_own_size_and_rate(
    smallest_model: Restorer, carphone: np.ndarray, tmp_path: Path
) -> None:
    source, target = tmp_path / "old video.mp4", tmp_path / "new.mp4"
    write_video(source, carphone[:7, :50, :70], Fraction(24000, 1001))
    count = restore_file(WindowedRestorer(smallest_model, 5, 2), source, target)
    assert count == 7
    before, after = read_video(source), read_video(target)
    assert after.shape == before.shape
    assert np.abs(after.astype(int) - before).mean() < 3  # untrained: the identity, up to one more encoding


def test_a_file_never_overwrites_itself_and_a_failure_leaves_nothing(smallest_model: Restorer, tmp_path: Path) -> None:
    restorer = WindowedRestorer(smallest_model, 5, 2)
    text = tmp_path / "text.mp4"
    text.write_text("no video")
    with pytest.raises(UserError, match=r"text\.mp4"):
        restore_file(restorer, text, tmp_path / "out.mp4")
    video = tmp_path / "video.mp4"
    write_video(video, np.zeros((3, 16, 16, 3), np.uint8), Fraction(25))
    with pytest.raises(UserError, match="input itself"):
        restore_file(restorer, video, video)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["text.mp4", "video.mp4"]
