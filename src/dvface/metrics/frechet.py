"""Fréchet distance: how far the features of restored clips lie from those of clean ones, as two Gaussians."""

from abc import abstractmethod

import torch
from torch import Tensor

from dvface.metrics.base import ClipMetric
from dvface.metrics.segment import Segment, Side

_ROUNDING = 1e-14
"""What rounding leaves in a float64 covariance that was made from sums, as a part of the mean squared length."""


class FrechetMetric(ClipMetric):
    """The Fréchet distance of Dowson & Landau (1982) between Gaussians fitted to restored and to clean features.

    |m₁ − m₂|² + tr(S₁ + S₂ − 2 (S₁ S₂)^½), with means m and unbiased covariances S over all samples of all clips. It is
    a number of the set alone: no clip has one, and a set of fewer than two samples has none (NaN). The evidence of a
    clip is (N, 2, dimension): its samples' features, restored and clean. Fewer samples make the number larger, so it
    can be compared only between sets of as many. A sample of restored frames that hold NaN or infinity makes it
    infinite.

    Args:
        dimension: D, of the features.

    Attributes:
        of_samples: what the samples are, in the plural, for remarks.
        shortest: frames in a row without which a clip has no sample.
    """

    higher_is_better = False
    of_samples: str
    shortest: int = 1

    samples: Tensor
    sums: Tensor
    products: Tensor

    def __init__(self, dimension: int) -> None:
        super().__init__()
        # float64: a covariance is a small difference of these
        zeros = torch.zeros(2, dimension, dtype=torch.float64)
        self.add_state("samples", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("sums", zeros, dist_reduce_fx="sum")
        self.add_state("products", zeros.new_zeros(2, dimension, dimension), dist_reduce_fx="sum")

    def look(self, segment: Segment) -> Tensor:
        """(N, 2, D): features of the segment's N samples, restored and clean."""
        restored, clean = self.features(segment, "restored"), self.features(segment, "clean")
        if not segment.sound.all():
            restored = torch.full_like(restored, torch.inf)
        return torch.stack([restored, clean], dim=1)

    @abstractmethod
    def features(self, segment: Segment, side: Side) -> Tensor:
        """(N, D) features of the segment's samples; as many on both sides, and maybe none."""

    def _add(self, evidence: Tensor) -> None:
        self.clips += len(evidence) > 0
        self.skipped += len(evidence) == 0
        self.samples += len(evidence)
        sides = evidence.to(self.sums).transpose(0, 1)
        self.sums += sides.sum(dim=1)
        self.products += sides.mT @ sides

    def compute(self) -> Tensor:
        """The distance, a float64 scalar: NaN for fewer than two samples, infinity where features are not finite."""
        if self.samples < 2:
            return self.sums.new_tensor(torch.nan)
        if not (self.sums.isfinite().all() and self.products.isfinite().all()):
            return self.sums.new_tensor(torch.inf)
        means = self.sums / self.samples
        outer = self.sums[:, :, None] * means[:, None, :]
        covariances = (self.products - outer) / (self.samples - 1)
        lengths = self.products.diagonal(dim1=1, dim2=2).sum(dim=1) / self.samples
        return frechet_distance(means, covariances, _ROUNDING * float(lengths.max()))

    def remark(self, evidence: Tensor) -> str:
        """How many samples the clip gave."""
        if not len(evidence):
            return f"fewer than {self.shortest} frames in a row, the least that {self.name} takes"
        return f"{len(evidence)} {self.of_samples}"


def frechet_distance(means: Tensor, covariances: Tensor, noise: float = 0.0) -> Tensor:
    """Squared Fréchet (2-Wasserstein) distance of two Gaussians, at least 0.

    tr (S₁ S₂)^½ is the sum of the singular values of S₁^½ S₂^½, whose squares are the eigenvalues of S₁^½ S₂ S₁^½:
    taken as singular values, they lose no digits to a root of rounding errors, also where covariances have no full
    rank, as with fewer samples than dimensions.

    Args:
        means: (2, D) float64.
        covariances: (2, D, D) float64, symmetric, positive semi-definite but for rounding.
        noise: an eigenvalue up to this counts as 0.
    """
    one, other = (_root(covariance, noise) for covariance in covariances)
    overlap = torch.linalg.svdvals(one.mT @ other).sum()
    spread = covariances.diagonal(dim1=1, dim2=2).sum()
    return ((means[0] - means[1]).square().sum() + spread - 2 * overlap).clamp(min=0)


def _root(covariance: Tensor, noise: float) -> Tensor:
    """F of shape (D, rank) with F Fᵀ = ``covariance``."""
    values, vectors = torch.linalg.eigh(covariance)
    floor = max(noise, len(values) * torch.finfo(values.dtype).eps * float(values[-1]))
    kept = values > floor
    return vectors[:, kept] * values[kept].sqrt()
