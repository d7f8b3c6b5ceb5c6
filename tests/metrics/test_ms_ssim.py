import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from tests.metrics.pictures import as_clip, clean_and_worse
from torchmetrics.functional.image import (
    multiscale_structural_similarity_index_measure,
    structural_similarity_index_measure,
)

from dvface.metrics.ssim import EXPONENTS, SSIM, MultiScaleSSIM


def measure(restored, clean, metric=MultiScaleSSIM):
    metric = metric()
    metric.update(restored, clean)
    return metric.compute().item()


def noisy(height, width, strength):
    generator = torch.Generator().manual_seed(0)
    clean = torch.nn.functional.avg_pool2d(torch.rand((3, height + 8, width + 8), generator=generator), 9, stride=1)
    clean = (clean * 8 - 4).clamp(-1, 1)[None, :, None]
    return (clean + strength * torch.randn(clean.shape, generator=generator)).clamp(-1, 1), clean


def test_flat_frames_differ_in_luminance_alone():
    # contrast and structure are 1 on all scales; luminance (2 · 0.5 · 0.7 + 1e-4) / (0.74 + 1e-4) counts on the last
    flat = torch.zeros(1, 3, 1, 176, 180)
    expected = (0.7001 / 0.7401) ** 0.1333
    assert measure(flat + 0.4, flat) == pytest.approx(expected, rel=1e-5)


def test_it_is_that_of_pyiqa_on_a_portrait():
    clean, worse = map(as_clip, clean_and_worse(2))
    # pyiqa 0.1.16, archs.ssim_arch.MS_SSIM(test_y_channel=False), on the frames in [0, 1]
    expected = np.mean([0.9762461500831383, 0.9706424538095474])
    assert measure(worse, clean) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize(("height", "width"), [(176, 192), (181, 223)])
def test_it_is_that_of_skimages_maps_multiplied_by_hand_odd_sides_included(height, width):
    restored, clean = noisy(height, width, 0.3)
    pictures = [((clip[0, :, 0].double() + 1) / 2).numpy().transpose(1, 2, 0) for clip in (restored, clean)]
    factors = []
    for scale in range(5):
        # a large C1 makes luminance 1, so that the map is contrast and structure
        luminance = {} if scale == 4 else {"K1": 1e4}
        means = structural_similarity(
            *pictures,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=2,
            full=True,
            **luminance,
        )[1][5:-5, 5:-5].mean()
        factors.append(means ** EXPONENTS[scale])
        even = [np.pad(each, ((0, len(each) % 2), (0, each.shape[1] % 2), (0, 0)), "symmetric") for each in pictures]
        pictures = [(each[::2, ::2] + each[1::2, ::2] + each[::2, 1::2] + each[1::2, 1::2]) / 4 for each in even]
    assert 0.5 < np.prod(factors) < 0.99
    assert measure(restored, clean) == pytest.approx(np.prod(factors), rel=1e-5)


def test_it_is_that_of_torchmetrics_but_for_the_reflected_borders_of_the_last_scale():
    restored, clean = noisy(256, 208, 0.3)
    first, second = ((clip[:, :, 0] + 1) / 2 for clip in (restored, clean))
    theirs = multiscale_structural_similarity_index_measure(
        first, second, data_range=1.0, betas=EXPONENTS, normalize=None
    )
    last = [torch.nn.functional.avg_pool2d(frames, 16) for frames in (first, second)]
    full, windows = structural_similarity_index_measure(*last, data_range=1.0, return_full_image=True)
    whole = windows[..., 5:-5, 5:-5].mean()
    assert abs(whole / full - 1) > 1e-3  # the borders do matter
    expected = theirs * (whole / full) ** EXPONENTS[-1]
    assert measure(restored, clean) == pytest.approx(expected.item(), rel=1e-4)


def test_it_forgives_noise_that_ssim_does_not():
    restored, clean = noisy(192, 192, 0.2)
    assert measure(restored, clean, SSIM) + 0.05 < measure(restored, clean) < 1


def test_opposite_structure_counts_as_nothing_and_not_as_no_number():
    _, clean = noisy(176, 176, 0.0)
    assert measure(-clean, clean) == 0


@pytest.mark.parametrize(("height", "width"), [(175, 300), (300, 175)])
def test_frames_on_whose_last_scale_no_window_fits_have_no_answer(height, width):
    metric = MultiScaleSSIM()
    metric.update(*noisy(height, width, 0.1))
    assert metric.compute().isnan()
    assert metric.skipped == 1
