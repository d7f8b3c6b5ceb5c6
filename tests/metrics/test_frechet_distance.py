import numpy as np
import pytest
import scipy.linalg
import torch
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance as TorchmetricsFID

from dvface.metrics.fid import FrechetInceptionDistance
from dvface.metrics.frechet import FrechetMetric, frechet_distance


class Given(FrechetMetric):
    """Takes evidence alone."""

    name = "given"
    of_samples = "sample(s)"

    def features(self, segment, side):
        raise AssertionError("nothing is looked at")


def distance(restored, clean):
    """Of samples (N, D) twice."""
    metric = Given(restored.shape[1])
    metric.add(torch.stack([restored, clean], dim=1))
    return float(metric.compute())


def samples(count, dimension, seed=0):
    """Correlated, with another spread and mean on each side, (N, 2, D) float64."""
    generator = torch.Generator().manual_seed(seed)
    mixing = torch.randn(2, dimension, dimension, generator=generator, dtype=torch.float64) / dimension**0.5
    means = torch.randn(2, 1, dimension, generator=generator, dtype=torch.float64)
    noise = torch.randn(2, count, dimension, generator=generator, dtype=torch.float64)
    return (noise @ mixing + 1 + 0.3 * means).transpose(0, 1)


def by_scipy(evidence):
    """As pytorch-fid writes it, with the matrix root itself."""
    restored, clean = (evidence[:, side].numpy() for side in (0, 1))
    one, other = (np.cov(side, rowvar=False) for side in (restored, clean))
    root = scipy.linalg.sqrtm(one @ other)
    step = restored.mean(axis=0) - clean.mean(axis=0)
    return float(step @ step + np.trace(one) + np.trace(other) - 2 * np.trace(root).real)


def test_of_gaussians_with_diagonal_covariances_it_is_the_distance_of_means_and_deviations():
    means = torch.tensor([[0.0, 1.0], [3.0, 5.0]], dtype=torch.float64)
    covariances = torch.diag_embed(torch.tensor([[1.0, 4.0], [9.0, 16.0]], dtype=torch.float64))
    # 3² + 4², and deviations (1, 2) against (3, 4)
    assert float(frechet_distance(means, covariances)) == pytest.approx(25 + 4 + 4, rel=1e-12)


def test_covariances_are_unbiased():
    # means 1 and 12; variances 2 and 8 with one degree of freedom: 11² + (√8 − √2)²
    found = distance(torch.tensor([[0.0], [2.0]]), torch.tensor([[10.0], [14.0]]))
    assert found == pytest.approx(121 + 2, rel=1e-12)


def test_it_agrees_with_the_matrix_root_of_scipy():
    evidence = samples(200, 24)
    assert distance(evidence[:, 0], evidence[:, 1]) == pytest.approx(by_scipy(evidence), rel=1e-9)


class GridMeans(nn.Module):
    """Mean colours of 4 × 4 fields, on [0, 1]: (N, 48)."""

    num_features = dimension = 48
    file_name = None

    def features(self, frames):
        return nn.functional.adaptive_avg_pool2d((frames + 1) / 2, 4).flatten(1)

    def forward(self, pictures):
        """Of bytes, as torchmetrics gives them."""
        return nn.functional.adaptive_avg_pool2d(pictures.double() / 255, 4).flatten(1)


def test_it_agrees_with_torchmetrics_on_the_same_features():
    generator = torch.Generator().manual_seed(0)
    clean = torch.randint(0, 256, (6, 3, 20, 16, 16), generator=generator, dtype=torch.uint8)
    restored = (clean.float() * 0.8 + 20 * torch.rand(clean.shape, generator=generator)).byte()
    theirs = TorchmetricsFID(feature=GridMeans(), input_img_size=(3, 16, 16)).set_dtype(torch.float64)
    for side, real in ((clean, True), (restored, False)):
        theirs.update(side.transpose(1, 2).flatten(0, 1), real=real)
    ours = FrechetInceptionDistance(GridMeans())
    ours.update(restored.float() / 127.5 - 1, clean.float() / 127.5 - 1)
    assert float(ours.compute()) == pytest.approx(float(theirs.compute()), rel=1e-4)
    assert (int(ours.samples), int(ours.clips)) == (120, 6)


def test_fewer_samples_than_dimensions_are_measured_as_exactly_as_in_the_space_that_they_span():
    flat = samples(30, 5)
    turned = torch.linalg.qr(torch.randn(200, 200, dtype=torch.float64)).Q[:5]
    spread = flat @ turned + 20
    assert distance(spread[:, 0], spread[:, 1]) == pytest.approx(by_scipy(flat), rel=1e-8)


@pytest.mark.parametrize("count", [2, 40, 1000])
def test_identical_sides_have_distance_zero_of_any_rank(count):
    features = torch.randn(count, 300) * torch.linspace(0.001, 3, 300) + 5
    assert 0 <= distance(features, features) < 1e-6


def test_the_order_of_clips_and_where_they_are_cut_do_not_matter():
    evidence = samples(60, 12)
    whole, pieces = Given(12), Given(12)
    whole.add(evidence)
    for piece in reversed(evidence.split([1, 20, 7, 32])):
        pieces.add(piece)
    assert float(pieces.compute()) == pytest.approx(float(whole.compute()), rel=1e-10)
    assert int(pieces.clips) == 4


def test_fewer_than_two_samples_have_no_distance():
    metric = Given(3)
    assert metric.compute().isnan()
    metric.add(torch.ones(1, 2, 3))
    assert metric.compute().isnan()
    metric.add(torch.zeros(1, 2, 3))
    assert float(metric.compute()) == pytest.approx(0, abs=1e-12)


def test_a_clip_without_a_sample_is_counted_and_remarked():
    metric = Given(3)
    metric.add(torch.zeros(0, 2, 3))
    metric.add(torch.zeros(4, 2, 3))
    assert (int(metric.clips), int(metric.skipped), int(metric.samples)) == (1, 1, 4)
    assert metric.remark(torch.zeros(0, 2, 3)) == "fewer than 1 frames in a row, the least that given takes"
    assert metric.remark(torch.zeros(4, 2, 3)) == "4 sample(s)"


def test_features_that_are_no_numbers_make_the_distance_infinite():
    for value in (torch.nan, torch.inf):
        evidence = samples(10, 3)
        evidence[4, 0, 1] = value
        assert distance(evidence[:, 0], evidence[:, 1]) == torch.inf


def test_the_sums_are_no_part_of_a_checkpoint_and_reset_to_nothing():
    metric = Given(4)
    metric.add(samples(10, 4))
    assert not metric.state_dict()
    assert metric.sums.dtype == metric.products.dtype == torch.float64
    metric.reset()
    assert not metric.products.any()
    assert metric.compute().isnan()


def test_half_precision_of_the_owner_leaves_the_sums_exact():
    owner = nn.Module()
    owner.metric = Given(4)
    owner.half()
    evidence = samples(10, 4)
    owner.metric.add(evidence)
    assert float(owner.metric.compute()) == pytest.approx(by_scipy(evidence), rel=1e-8)
