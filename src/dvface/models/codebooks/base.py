"""What every quantizer offers."""

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional

from dvface.contracts import PriorSide, Quantized


class Quantizer(nn.Module, ABC):
    """Maps features to entries of a codebook, and says what predicting them from degraded features means.

    Attributes:
        dim: channels C of features and of what they are mapped to.
        entries: number of entries K of each level; 0 where nothing is quantized.
        levels: entries L chosen at each place: 1 for a plain codebook, more for a residual one.
    """

    dim: int
    entries: int
    levels: int = 1

    @abstractmethod
    def forward(self, features: Tensor) -> Quantized:
        """(..., C) features to their entries; in training mode the codebook may learn from them."""

    @abstractmethod
    def lookup(self, indices: Tensor) -> Tensor:
        """(..., L) int64 indices to (..., C) features."""

    @property
    def outputs(self) -> int:
        """Channels that a predictor must give for each place: a score for every entry of every level."""
        return self.levels * self.entries

    def choose(self, scores: Tensor) -> PriorSide:
        """(B, T', h, w, outputs) of a predictor to the entries that score highest."""
        logits = scores.unflatten(-1, (self.levels, self.entries))
        indices = logits.argmax(dim=-1)
        return PriorSide(tokens=self.lookup(indices), logits=logits, indices=indices)

    def prediction_loss(self, scores: Tensor, target: Quantized) -> Tensor:
        """How far a predictor's (..., outputs) are from the clean clip's entries: cross-entropy, a scalar."""
        logits = scores.reshape(-1, self.entries)
        return functional.cross_entropy(logits, target.indices.flatten())


def entry_use(indices: Tensor, entries: int) -> tuple[Tensor, Tensor]:
    """Perplexity and usage of (..., L) indices, averaged over the levels.

    Perplexity is exp of the entropy of entry use: 1 when one entry serves all, ``entries`` when all serve alike.
    Usage is the share of entries that serve at all.
    """
    perplexities, usages = [], []
    for level in indices.flatten(0, -2).unbind(-1):
        counts = torch.bincount(level, minlength=entries).float()
        shares = counts / counts.sum()
        perplexities.append(torch.exp(-(shares * torch.log(shares.clamp_min(1e-12))).sum()))
        usages.append((counts > 0).float().mean())
    return torch.stack(perplexities).mean(), torch.stack(usages).mean()


def full_precision(like: Tensor) -> AbstractContextManager[object]:
    """A context without autocast on the device of ``like``: bfloat16 distances would choose other entries."""
    kind = like.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def nearest(features: Tensor, table: Tensor) -> Tensor:
    """The row of the (K, C) ``table`` nearest to each of the (N, C) features, (N,) int64."""
    with torch.no_grad():
        return torch.cdist(features, table).argmin(dim=-1)


def straight_through(features: Tensor, entries: Tensor) -> Tensor:
    """``entries`` bit for bit, with the gradient of ``features``, of the same shape (VQ-VAE, arXiv 1711.00937)."""
    return entries.detach() + (features - features.detach())
