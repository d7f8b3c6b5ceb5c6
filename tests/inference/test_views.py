import numpy as np

from dvface.inference.views import Blended, SideBySide, SplitScreen, Unchanged


class White:
    """Restores everything to white."""

    temporal_stride = 4

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        return np.ones(frames.shape, np.float32)


BLACK = np.zeros((2, 6, 10, 3), np.uint8)


def test_fidelity_is_the_share_of_the_input() -> None:
    np.testing.assert_allclose(Blended(White(), 0.25).restore(BLACK, 0), 0.75)
    assert np.array_equal(np.rint(Blended(White(), 1.0).restore(BLACK + 7, 0) * 255), BLACK + 7)


def test_side_by_side_shows_the_input_first() -> None:
    shown = SideBySide(White()).restore(BLACK, 0)
    assert shown.shape == (2, 6, 20, 3)
    assert shown[:, :, :10].max() == 0
    assert shown[:, :, 10:].min() == 1


def test_a_split_screen_shows_half_of_each_and_a_line() -> None:
    shown = SplitScreen(Blended(White(), 0.5)).restore(BLACK, 0)
    assert shown.shape == BLACK.shape
    assert np.array_equal(shown[0, 0, :, 0], [0, 0, 0, 0, 0, 1, 0.5, 0.5, 0.5, 0.5])


def test_a_clip_without_a_face_passes_bit_by_bit() -> None:
    frames = np.arange(256, dtype=np.uint8).repeat(3).reshape(1, 16, 16, 3)
    assert np.array_equal(np.rint(Unchanged().restore(frames, 0) * 255), frames)
