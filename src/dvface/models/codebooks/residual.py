"""Several codebooks, each for what those before it leave over."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dvface.contracts import Quantized
from dvface.models.codebooks.base import Quantizer, straight_through
from dvface.models.codebooks.moving_average import MovingAverageQuantizer


class ResidualQuantizer(Quantizer):
    """Residual quantization (SoundStream, arXiv 2107.03312, algorithm 1): the L entries chosen at a place add up.

    Each level is a `MovingAverageQuantizer`, so that its k-means, precision and evaluation mode are the same as
    there; vector-quantize-pytorch's own ``ResidualVQ`` learns in evaluation mode and rounds under autocast.

    Args:
        entries: K of each level.
        dim: C.
        levels: L, at least 2.
        decay: see `MovingAverageQuantizer`.
        commitment: likewise, of every level.
        dead_below: likewise.
        usage_weight: likewise.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self,
        entries: int = 1024,
        dim: int = 256,
        levels: int = 4,
        decay: float = 0.99,
        commitment: float = 0.25,
        dead_below: float = 1.0,
        usage_weight: float = 0.0,
    ) -> None:
        super().__init__()
        if levels < 2:
            raise ValueError(f"levels must be at least 2, got {levels}; one level is the plain codebook moving_average")
        self.entries = entries
        self.dim = dim
        self.levels = levels
        self.books = nn.ModuleList(
            MovingAverageQuantizer(entries, dim, decay, commitment, dead_below, usage_weight) for _ in range(levels)
        )

    def forward(self, features: Tensor) -> Quantized:
        """See the base class. Losses of the levels add up, perplexity and usage are their means."""
        features = features.float()
        found: list[Quantized] = []
        total = torch.zeros_like(features)
        for book in self._levels():
            found.append(book(features - total))
            total = total + found[-1].features.detach()
        return Quantized(
            features=straight_through(features, total),
            indices=torch.cat([level.indices for level in found], dim=-1),
            loss=torch.stack([level.loss for level in found]).sum(),
            perplexity=torch.stack([level.perplexity for level in found]).mean(),
            usage=torch.stack([level.usage for level in found]).mean(),
        )

    def lookup(self, indices: Tensor) -> Tensor:
        """See the base class: the sum of the levels' entries."""
        total = torch.zeros((*indices.shape[:-1], self.dim), device=indices.device)
        for book, level in zip(self._levels(), indices.split(1, dim=-1), strict=True):
            total = total + book.lookup(level)
        return total

    def _levels(self) -> Iterator[Quantizer]:
        for book in self.books:
            assert isinstance(book, Quantizer)
            yield book
