"""Codebooks that are a list of entries of which each feature takes the nearest."""

from abc import abstractmethod

from torch import Tensor
from torch.nn import functional

from dvface.contracts import Quantized
from dvface.models.codebooks.base import Quantizer, entry_use, full_precision, nearest, straight_through
from dvface.models.codebooks.usage import usage_divergence


class TableQuantizer(Quantizer):
    """Each feature takes the nearest row of a table; subclasses say how the table learns.

    Computes in float32 whatever autocast asks. In evaluation mode nothing changes, and what ``forward`` gives is
    what ``lookup`` gives for its indices, bit for bit.

    Args:
        entries: K.
        dim: C.
        commitment: weight β of the loss that holds features near their entries (VQ-VAE, equation 3).
        usage_weight: weight of `usage_divergence`; 0.1 in BFVR-STC, 0 leaves it out.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, entries: int, dim: int, commitment: float, usage_weight: float) -> None:
        super().__init__()
        for name, number, least in (("entries", entries, 2), ("dim", dim, 1)):
            if number < least:
                raise ValueError(f"{name} must be at least {least}, got {number}")
        for name, weight in (("commitment", commitment), ("usage_weight", usage_weight)):
            if weight < 0:
                raise ValueError(f"{name} must not be negative, got {weight}")
        self.entries = entries
        self.dim = dim
        self.commitment = commitment
        self.usage_weight = usage_weight

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """(K, C) the entries."""

    def prepare(self, features: Tensor) -> Tensor:
        """(N, C) features to what is compared with the entries."""
        return features

    def assign(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """(N, C) prepared features to their entries (N, C) and indices (N,); in training mode the table may learn."""
        indices = nearest(features, self.table)
        return functional.embedding(indices, self.table), indices

    def distance(self, features: Tensor, entries: Tensor) -> Tensor:
        """The loss between (N, C) prepared features and their entries: commitment."""
        return self.commitment * functional.mse_loss(features, entries.detach())

    def forward(self, features: Tensor) -> Quantized:
        """See the base class."""
        with full_precision(features):
            prepared = self.prepare(features.reshape(-1, self.dim).float())
            entries, indices = self.assign(prepared)
            loss = self.distance(prepared, entries)
            if self.usage_weight:
                loss = loss + self.usage_weight * usage_divergence(prepared, self.table)
            quantized = straight_through(prepared, entries).reshape(features.shape)
        indices = indices.reshape(*features.shape[:-1], 1)
        return Quantized(quantized, indices, loss, *entry_use(indices, self.entries))

    def lookup(self, indices: Tensor) -> Tensor:
        """See the base class."""
        with full_precision(self.table):
            return functional.embedding(indices.squeeze(-1), self.table)


class LearnedTableQuantizer(TableQuantizer):
    """A table that learns by gradient: the codebook term of VQ-VAE's equation 3 stands beside commitment."""

    def distance(self, features: Tensor, entries: Tensor) -> Tensor:
        """Commitment, and the entries' own distance to the features that chose them."""
        return super().distance(features, entries) + functional.mse_loss(entries, features.detach())
