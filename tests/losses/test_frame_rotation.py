import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvface.losses.rotation import positive, rotating


@given(length=st.integers(1, 40), count=st.integers(1, 50), step=st.integers(0, 10_000))
def test_different_positions_of_the_clip_are_chosen(length: int, count: int, step: int) -> None:
    chosen = rotating(length, count, step)
    assert len(set(chosen)) == len(chosen) == min(count, length)
    assert set(chosen) <= set(range(length))


@given(length=st.integers(1, 40), count=st.integers(1, 50))
def test_in_as_many_steps_as_the_clip_has_frames_each_is_seen_equally_often(length: int, count: int) -> None:
    seen = sorted(position for step in range(length) for position in rotating(length, count, step))
    assert seen == sorted(list(range(length)) * min(count, length))


def test_looking_at_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="pairs must be at least 1, got 0"):
        positive("pairs", 0)
