"""What keeps all entries in use: the batch as a whole shall ask for every one alike."""

from math import log

import torch
from torch import Tensor

TEMPERATURE = 0.1
"""Of the soft assignment, in units of the batch's mean squared distance to the nearest entry.

Relative, so that the scale of the features does not matter. On Gaussian features and their k-means centres (16 to 256
channels, 64 to 1024 entries) 0.1 leaves the nearest entry 0.2 to 0.95 of the weight: it leads, and its rivals feel the
term too.
"""


def usage_divergence(features: Tensor, table: Tensor) -> Tensor:
    """KL divergence of the batch's average soft assignment from the uniform distribution, a scalar in [0, log K].

    BFVR-STC's marginal prior: 0 when all entries are asked for alike, log K when one serves all.

    Args:
        features: (N, C).
        table: (K, C) entries; gradients reach it if it has any.
    """
    squared = (
        features.square().sum(dim=1, keepdim=True) - 2 * features @ table.mT + table.square().sum(dim=1)
    ).clamp_min(0)
    scale = squared.detach().min(dim=1).values.mean().clamp_min(1e-12)
    shares = torch.softmax(-squared / (TEMPERATURE * scale), dim=1).mean(dim=0)
    return log(len(table)) + torch.special.xlogy(shares, shares.clamp_min(1e-12)).sum()
