import numpy as np
import pytest
import torch
from tests.metrics.pictures import as_clip, clean_and_worse

from dvface.metrics.flicker import FrameDifferenceError


def measure(restored, clean):
    metric = FrameDifferenceError()
    metric.update(restored, clean)
    return metric.compute().item()


def test_it_is_the_mean_of_numpys_differences_in_64_bits():
    clean, worse = clean_and_worse(5, top=40, left=100, side=160)
    expected = np.abs(np.diff(worse / 255, axis=0) - np.diff(clean / 255, axis=0)).mean()
    assert measure(as_clip(worse), as_clip(clean)) == pytest.approx(expected, rel=1e-5)


def test_a_step_that_is_missed_counts_twice():
    # the clean clip brightens by 0.2 between frames 1 and 2, the restored one a frame later: off by 0.2 and 0.2
    levels = torch.tensor([[0.4, 0.4, 0.6, 0.6], [0.4, 0.4, 0.4, 0.6]]) * 2 - 1
    clean, restored = (row.view(1, 1, 4, 1, 1).repeat(1, 3, 1, 8, 8) for row in levels)
    assert measure(restored, clean) == pytest.approx((0 + 0.2 + 0.2) / 3, rel=1e-5)
