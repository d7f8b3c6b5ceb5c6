"""Kernels against closed forms and SciPy; convolution against OpenCV and SciPy."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import correlate
from scipy.signal.windows import gaussian
from scipy.special import j1

from dvface.degradation.convolve import convolve
from dvface.degradation.kernels import (
    bessel_j1,
    disc_kernel,
    gaussian_kernel,
    generalized_gaussian_kernel,
    motion_kernel,
    plateau_kernel,
    sinc_kernel,
)

SIZES = st.integers(0, 20).map(lambda half: 2 * half + 1)
SIGMAS = st.floats(0.1, 15)
ANGLES = st.floats(0, math.pi)
BETAS = st.floats(0.5, 4)
KERNELS = st.one_of(
    st.builds(gaussian_kernel, SIZES, SIGMAS, SIGMAS, ANGLES),
    st.builds(generalized_gaussian_kernel, SIZES, SIGMAS, SIGMAS, ANGLES, BETAS),
    st.builds(plateau_kernel, SIZES, SIGMAS, SIGMAS, ANGLES, BETAS),
    st.builds(sinc_kernel, SIZES, st.floats(0.3, math.pi)),
    st.builds(motion_kernel, st.floats(0, 40), ANGLES),
    st.builds(disc_kernel, st.floats(0, 20)),
)


def covariance(kernel: np.ndarray) -> tuple[float, float, float]:
    """Second moments xx, yy, xy of a kernel about its centre."""
    half = len(kernel) // 2
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return tuple(float((kernel.astype(float) * product).sum()) for product in (x * x, y * y, x * y))


@given(kernel=KERNELS)
@settings(deadline=None)
def test_every_kernel_is_a_centred_odd_square_that_sums_to_one(kernel: np.ndarray):
    assert kernel.dtype == np.float32
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum(dtype=float) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(kernel, kernel[::-1, ::-1], atol=2e-6 * kernel.max())


@pytest.mark.parametrize("sigma", [0.3, 2.0, 9.0])
def test_a_round_gaussian_is_scipys_window_times_itself(sigma: float):
    expected = np.outer(gaussian(21, sigma), gaussian(21, sigma))
    np.testing.assert_allclose(gaussian_kernel(21, sigma, sigma, 1.0), expected / expected.sum(), atol=1e-7)


def test_a_quarter_turn_swaps_the_axes():
    for make in (gaussian_kernel, lambda *a: generalized_gaussian_kernel(*a, 0.7), lambda *a: plateau_kernel(*a, 1.5)):
        np.testing.assert_allclose(make(15, 4, 1.5, math.pi / 2), make(15, 1.5, 4, 0), atol=1e-7)


@pytest.mark.parametrize("beta", [0.5, 1.0, 3.0])
def test_generalised_and_plateau_kernels_fall_as_their_formulas_say(beta: float):
    generalized, plateau = generalized_gaussian_kernel(9, 2, 3, 0, beta), plateau_kernel(9, 2, 3, 0, beta)
    # Three pixels along x at σ 2: d = 9/4; two along y at σ 3: d = 4/9.
    assert generalized[4, 7] / generalized[4, 4] == pytest.approx(math.exp(-0.5 * 2.25**beta), rel=1e-5)
    assert generalized[6, 4] / generalized[4, 4] == pytest.approx(math.exp(-0.5 * (4 / 9) ** beta), rel=1e-5)
    assert plateau[4, 7] / plateau[4, 4] == pytest.approx(1 / (1 + 2.25**beta), rel=1e-5)
    assert plateau[6, 4] / plateau[4, 4] == pytest.approx(1 / (1 + (4 / 9) ** beta), rel=1e-5)


def test_a_generalised_gaussian_of_beta_one_is_the_gaussian():
    np.testing.assert_array_equal(generalized_gaussian_kernel(21, 3, 1, 0.4, 1.0), gaussian_kernel(21, 3, 1, 0.4))


def test_bessel_is_scipys():
    x = np.linspace(0, 150, 2001)
    np.testing.assert_allclose(bessel_j1(x), j1(x), atol=1e-13)


@pytest.mark.parametrize("omega", [math.pi / 3, math.pi / 2, 2.4])
def test_sinc_passes_below_its_cut_off_and_stops_above(omega: float):
    response = np.abs(np.fft.fft2(sinc_kernel(101, omega)))
    frequency = 2 * math.pi * np.hypot(*np.meshgrid(np.fft.fftfreq(101), np.fft.fftfreq(101)))
    np.testing.assert_allclose(response[frequency < omega - 0.15], 1, atol=0.12)
    np.testing.assert_allclose(response[(frequency > omega + 0.15) & (frequency < math.pi)], 0, atol=0.12)
    middle = response[np.abs(frequency - omega) < 0.05]
    assert middle.mean() == pytest.approx(0.5, abs=0.05)


def test_a_level_line_is_a_box_shared_among_pixels():
    # A line of 5 pixels covers three whole ones; those at its ends get 7/8 and, outside, 1/8 of a pixel.
    expected = np.array([1 / 8, 7 / 8, 1, 1, 1, 7 / 8, 1 / 8]) / 5
    kernel = motion_kernel(5, 0)
    np.testing.assert_allclose(kernel[len(kernel) // 2][kernel.shape[1] // 2 - 3 :][:7], expected, atol=5e-4)
    assert np.count_nonzero(kernel.sum(1) > 1e-9) == 1


@pytest.mark.parametrize("angle", [0.0, 0.5, 2.0])
def test_a_line_has_the_moments_of_a_line(angle: float):
    xx, yy, xy = covariance(motion_kernel(24, angle))
    cosine, sine = math.cos(angle), math.sin(angle)
    # 24²/12, and at most a quarter of a pixel² for sharing bilinearly.
    assert xx == pytest.approx(48 * cosine**2, abs=0.3)
    assert yy == pytest.approx(48 * sine**2, abs=0.3)
    assert xy == pytest.approx(48 * cosine * sine, abs=0.1)


@pytest.mark.parametrize("radius", [1.3, 4.0, 11.5])
def test_a_disc_has_the_area_and_moments_of_a_disc(radius: float):
    kernel = disc_kernel(radius)
    xx, yy, xy = covariance(kernel)
    assert kernel.max() == pytest.approx(1 / (math.pi * radius**2), rel=0.01)
    # A disc's r²/4 and the 1/12 of the pixel that collects it; few pixels sample that coarsely.
    assert xx == pytest.approx(radius**2 / 4 + 1 / 12, rel=0.04)
    assert (yy, xy) == (pytest.approx(xx), pytest.approx(0, abs=1e-6))


def test_kernels_of_no_width_leave_the_clip_as_it_is():
    clip = np.random.default_rng(0).random((2, 9, 7, 3), dtype=np.float32)
    for kernel in (motion_kernel(0, 0.7), disc_kernel(0), gaussian_kernel(21, 0.05, 0.05, 0)):
        np.testing.assert_allclose(convolve(clip, kernel), clip, atol=1e-6)


@given(kernel=KERNELS, height=st.integers(1, 40), width=st.integers(1, 40), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=60)
def test_convolution_is_opencvs_filter2d_up_to_rounding(kernel: np.ndarray, height: int, width: int, seed: int):
    clip = np.random.default_rng(seed).random((2, height, width, 3), dtype=np.float32)
    expected = [cv2.filter2D(frame, -1, kernel, borderType=cv2.BORDER_REFLECT_101) for frame in clip]
    # Negative lobes make partial sums, and so rounding, larger than the result.
    tolerance = 2e-6 * max(1, float(np.abs(kernel).sum()))
    np.testing.assert_allclose(convolve(clip, kernel), np.stack(expected), atol=tolerance)


@pytest.mark.parametrize("angle", [0.0, 0.6])
def test_convolution_is_scipys(angle: float):
    clip = np.random.default_rng(0).random((1, 45, 50, 3), dtype=np.float32)
    kernel = gaussian_kernel(21, 3.0, 1.5, angle)
    expected = correlate(clip[0].astype(float), kernel[..., None].astype(float), mode="mirror")
    np.testing.assert_allclose(convolve(clip, kernel)[0], expected, atol=1e-6)
