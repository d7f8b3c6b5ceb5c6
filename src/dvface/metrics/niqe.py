"""NIQE: how far the statistics of frames are from those of pristine pictures."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import scipy.io
import torch
from torch import Tensor

from dvface.errors import UserError
from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment
from dvface.perception.natural_statistics import BLOCK, FEATURES, block_features, luma
from dvface.weights import Weights
from dvface.weights.catalogue import NIQE_PRISTINE, VBLIINDS_PRISTINE

LEAST_BLOCKS = 2
"""Blocks that a covariance needs."""


@dataclass(frozen=True)
class Pristine:
    """A published model of pristine pictures.

    Attributes:
        source: who published it, as `NIQE.definition` says it.
        weights: its file.
    """

    source: str
    weights: Weights


PRISTINE = {
    "niqe": Pristine(
        source="Mittal et al. 2013, their pristine images; arithmetic of pyiqa's niqe",
        weights=NIQE_PRISTINE,
    ),
    "vbliinds": Pristine(
        source="Mittal et al. 2013, but the pristine video frames of V-BLIINDS (Saad et al. 2014); "
        "not comparable with NIQE elsewhere",
        weights=VBLIINDS_PRISTINE,
    ),
}
_KEYS = (("mu_pris_param", "cov_pris_param"), ("mu_prisparam", "cov_prisparam"))


class NIQE(MeanMetric):
    """Natural image quality evaluator (Mittal, Soundararajan & Bovik 2013): 0 is as natural as pristine pictures.

    A frame with fewer than two whole blocks of 96 × 96 pixels that are not flat has no answer. Frames are rounded to
    8 bits, as files hold them, and are not resized; blocks that do not fit at the right and below are left out.

    Args:
        name: of the measure.
        pristine: whose pristine pictures frames are compared with, a key of `PRISTINE`.
        parameters: the model's file, ``.npz`` or ``.mat``; by default looked up.

    Raises:
        UserError: ``parameters`` does not exist or is no such model.
        WeightsMissing: the file cannot be had.
    """

    higher_is_better = False
    needs_clean = False
    mean: Tensor
    covariance: Tensor

    def __init__(
        self,
        name: str = "niqe",
        pristine: Literal["niqe", "vbliinds"] = "niqe",
        parameters: str | Path | None = None,
    ) -> None:
        super().__init__()
        model = PRISTINE[pristine]
        path = model.weights.find(parameters)
        mean, covariance = read_pristine(path)
        self.register_buffer("mean", mean, persistent=False)
        self.register_buffer("covariance", covariance, persistent=False)
        self.name = name
        self.file_name = path.name
        self.definition = f"mean over frames of NIQE, no unit, 0 is natural ({model.source})"

    def per_frame(self, segment: Segment) -> Tensor:
        """NIQE of each frame, float64."""
        return torch.cat([self._distances(block_features(luma(frames))) for frames in segment.groups("restored")])

    def remark(self, evidence: Tensor) -> str:
        """How many frames are too small or too flat."""
        missing = int(evidence.isnan().sum())
        if not missing:
            return ""
        frames = f"{missing} of {len(evidence)} frames"
        return f"{frames} have no NIQE: it needs {LEAST_BLOCKS} blocks of {BLOCK}x{BLOCK} pixels that are not flat"

    def _distances(self, features: Tensor) -> Tensor:
        """(N, blocks, 36) -> (N,): eq. 10, NaN where there are too few blocks."""
        mean = features.nanmean(dim=1)
        whole = features.isfinite().all(dim=-1, keepdim=True)
        count = whole.sum(dim=1, keepdim=True)
        centre = torch.where(whole, features, 0).sum(dim=1, keepdim=True) / count
        apart = torch.where(whole, features - centre, 0)
        covariance = apart.transpose(1, 2) @ apart / (count - 1)
        enough = count[:, 0, 0] >= LEAST_BLOCKS
        # a decomposition must not meet NaN
        joint = torch.where(enough[:, None, None], (self.covariance + covariance) / 2, self.covariance)
        offset = (self.mean - mean)[:, None]
        squared = (offset @ torch.linalg.pinv(joint, hermitian=True) @ offset.transpose(1, 2))[:, 0, 0]
        return torch.where(enough, squared.sqrt(), torch.nan)


def read_pristine(path: Path) -> tuple[Tensor, Tensor]:
    """Mean (36,) and covariance (36, 36), float64, of a pristine model's file.

    Args:
        path: ``.npz`` as BasicSR publishes it, ``.mat`` as NIQE's authors and pyiqa do.

    Raises:
        UserError: the file cannot be read or holds no such numbers.
    """
    try:
        stored = scipy.io.loadmat(path) if path.suffix == ".mat" else dict(np.load(path, allow_pickle=False))
    except Exception as error:  # neither reader names a common base for what a broken file may raise
        raise UserError(f"parameters of NIQE in {path} cannot be read; fetch the file again") from error
    for mean_key, covariance_key in _KEYS:
        if mean_key in stored and covariance_key in stored:
            mean, covariance = np.ravel(stored[mean_key]), np.asarray(stored[covariance_key])
            if mean.shape == (FEATURES,) and covariance.shape == (FEATURES, FEATURES):
                return torch.from_numpy(mean.astype(np.float64)), torch.from_numpy(covariance.astype(np.float64))
    raise UserError(f"{path} holds no parameters of NIQE; give niqe_pris_params.npz or modelparameters.mat")
