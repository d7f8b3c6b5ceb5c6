import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from dvface.inference.whole import TiledPicture, WholePicture, fades


class Borders(nn.Module):
    """Paints the outermost pixels of what it sees white: shows where tiles lie."""

    temporal_stride = 1
    spatial_multiple = 8

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, video: Tensor) -> Tensor:
        painted = video.clone()
        for edge in (painted[..., 0], painted[..., -1], painted[..., 0, :], painted[..., -1, :]):
            edge.fill_(1.0)
        return painted


class Identity(Borders):
    """Changes nothing and keeps the sizes that it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, video: Tensor) -> Tensor:
        self.seen.append(tuple(video.shape[-2:]))
        return video


@given(length=st.integers(1, 300), tile=st.integers(8, 64), share=st.floats(0, 0.49))
@settings(max_examples=200, deadline=None)
def test_the_weights_of_tiles_add_up_to_one_and_change_slowly(length: int, tile: int, share: float) -> None:
    overlap = int(tile * share)
    total = np.zeros(length)
    for start, weights in fades(length, tile, overlap):
        assert 0 <= start <= start + len(weights) <= length
        assert len(weights) == min(tile, length)
        assert weights.min() > 0
        if overlap and len(weights) > 1:
            assert np.abs(np.diff(weights)).max() <= 1 / overlap
        total[start : start + len(weights)] += weights
    np.testing.assert_allclose(total, 1, atol=1e-5)


@given(height=st.integers(8, 70), width=st.integers(8, 70))
@settings(max_examples=20, deadline=None)
def test_tiles_of_an_identity_give_the_picture_back(height: int, width: int) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, height, width, 3), dtype=np.uint8)
    model = Identity()
    restored = TiledPicture(model, 32, 8).restore(frames, 0)
    assert np.array_equal(np.rint(restored * 255), frames)
    assert max(max(size) for size in model.seen) <= 32


def test_edges_of_tiles_are_faded_out() -> None:
    frames = np.zeros((1, 32, 88, 3), np.uint8)
    restored = TiledPicture(Borders(), 32, 8).restore(frames, 0)
    inner = restored[0, 4:-4, 4:-4]
    assert restored[0, 0].min() == 1  # the picture's own border is the model's
    assert 0 < inner.max() < 0.2  # the tiles' borders, at the weakest end of their fade


def test_a_small_picture_is_one_tile() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (3, 20, 20, 3), dtype=np.uint8)
    np.testing.assert_allclose(
        TiledPicture(Borders(), 64, 8).restore(frames, 0), WholePicture(Borders()).restore(frames, 0), atol=1e-6
    )


def test_tiles_that_overlap_too_much_are_refused() -> None:
    with pytest.raises(ValueError, match="half the tile"):
        TiledPicture(Identity(), 64, 32)
