from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.metrics import structural_similarity

from dvface.errors import UserError
from dvface.metrics.flicker import FrameDifferenceError
from dvface.metrics.psnr import PSNR
from dvface.metrics.ssim import SSIM


def clips(batch=1, frames=3, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((batch, 3, frames, size, size), generator=generator) * 1.6 - 0.8


def measure(metric, *pairs):
    for restored, clean in pairs:
        metric.update(restored, clean)
    return metric.compute().item()


def test_psnr_of_a_known_error():
    clean = clips()
    # 0.2 on [-1, 1] is 0.1 of the peak on [0, 1]: 20 dB
    assert measure(PSNR(), (clean + 0.2, clean)) == pytest.approx(20, abs=1e-3)


def test_psnr_is_averaged_over_frames_and_not_pooled():
    clean = clips(frames=2)
    error = torch.tensor([0.2, 0.02]).view(1, 1, 2, 1, 1)
    # 20 and 40 dB; pooling the squared errors would give 22.97
    assert measure(PSNR(), (clean + error, clean)) == pytest.approx(30, abs=1e-2)


def test_clips_weigh_the_same_whatever_their_length():
    short, long = clips(frames=1), clips(frames=9)
    assert measure(PSNR(), (short + 0.2, short), (long + 0.02, long)) == pytest.approx(30, abs=1e-2)


def test_identical_frames_count_as_100_db():
    clean = clips(frames=2)
    error = torch.tensor([0.0, 0.2]).view(1, 1, 2, 1, 1)
    assert measure(PSNR(), (clean + error, clean)) == pytest.approx(60, abs=1e-2)


def test_ssim_is_that_of_skimage():
    clean = clips(frames=2, size=24)
    restored = (clean + 0.3 * clips(frames=2, size=24, seed=1)).clamp(-1, 1)
    expected = [
        structural_similarity(
            *(((video[0, :, frame] + 1) / 2).numpy().transpose(1, 2, 0) for video in (restored, clean)),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=2,
        )
        for frame in range(2)
    ]
    assert 0.2 < np.mean(expected) < 0.98
    assert measure(SSIM(), (restored, clean)) == pytest.approx(np.mean(expected), abs=1e-4)


def test_ssim_refuses_frames_smaller_than_its_window():
    clean = clips(size=10)
    with pytest.raises(UserError, match="at least 11 pixels a side, got 10x10"):
        SSIM().update(clean, clean)


def test_frame_difference_ignores_a_constant_error_and_sees_flicker():
    clean = clips(frames=3)
    assert measure(FrameDifferenceError(), (clean + 0.2, clean)) == pytest.approx(0, abs=1e-6)
    flicker = torch.tensor([0.1, -0.1, 0.1]).view(1, 1, 3, 1, 1)
    assert measure(FrameDifferenceError(), (clean + flicker, clean)) == pytest.approx(0.1, abs=1e-5)


def test_a_clip_without_an_answer_is_left_out_and_counted():
    metric, clean = FrameDifferenceError(), clips(frames=3)
    metric.update(clean[:, :, :1], clean[:, :, :1])  # one frame has no difference
    assert metric.compute().isnan()
    flicker = torch.tensor([0.1, -0.1, 0.1]).view(1, 1, 3, 1, 1)
    assert measure(metric, (clean + flicker, clean)) == pytest.approx(0.1, abs=1e-5)
    assert (metric.clips, metric.skipped) == (1, 1)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_a_broken_restored_clip_is_not_passed_over(poison):
    clean = clips(batch=2)
    restored = clean + 0.2
    restored[1, 0, 0, 0, 0] = poison
    metric = PSNR()
    metric.update(restored, clean)
    assert not metric.compute().isfinite()
    assert metric.skipped == 0


@pytest.mark.parametrize("shape", [(3, 2, 16, 16), (1, 1, 2, 16, 16), (1, 3, 1, 16, 16)])
def test_clips_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"psnr: .*\(1, 3, "):
        PSNR().update(clips(frames=2), torch.zeros(shape))
    with pytest.raises(ValueError, match="psnr"):
        PSNR().update(torch.zeros(shape), clips(frames=2))


@settings(max_examples=20, deadline=None)
@given(cuts=st.sets(st.integers(1, 5)), lowest=st.floats(0.01, 0.3))
def test_the_mean_does_not_depend_on_how_clips_are_batched(cuts, lowest):
    clean = clips(batch=6, frames=10, size=12)  # more frames than one chunk holds
    restored = clean + lowest * torch.arange(1, 7).view(6, 1, 1, 1, 1) * clips(6, 10, 12, seed=1)
    edges = [0, *sorted(cuts), 6]
    batches = [(restored[a:b], clean[a:b]) for a, b in pairwise(edges)]
    for metric in (PSNR, SSIM, FrameDifferenceError):
        alone = [measure(metric(), (restored[k : k + 1], clean[k : k + 1])) for k in range(6)]
        assert measure(metric(), *batches) == pytest.approx(np.mean(alone), rel=1e-4)
