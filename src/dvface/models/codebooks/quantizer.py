"""The rule that maps features to a codebook's entries."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional
from vector_quantize_pytorch import VectorQuantize

from dvface.contracts import Quantized


class Quantizer(nn.Module, ABC):
    """Maps features to entries of a learned codebook.

    Attributes:
        entries: number of entries K.
        dim: channels C of one entry.
    """

    entries: int
    dim: int

    @abstractmethod
    def forward(self, features: Tensor) -> Quantized:
        """(..., C) features to their entries; in training mode the codebook may learn from them."""

    @abstractmethod
    def lookup(self, indices: Tensor) -> Tensor:
        """(...) int64 indices to (..., C) entries."""


def perplexity(indices: Tensor, entries: int) -> Tensor:
    """exp of the entropy of entry use: 1 when one entry serves all, ``entries`` when all serve alike."""
    use = functional.one_hot(indices.flatten(), entries).float().mean(dim=0)
    return torch.exp(-(use * torch.log(use.clamp_min(1e-12))).sum())


class MovingAverageQuantizer(Quantizer):
    """Nearest-entry quantization whose entries follow the features by an exponential moving average.

    VQ-VAE's second variant (arXiv 1711.00937, appendix A.1), by vector-quantize-pytorch: entries start at the
    k-means centres of the first batch, and an entry that hardly any feature chooses is moved onto one.

    Args:
        entries: K; DVFace's number is unpublished, BFVR-STC uses 1024.
        dim: C; likewise 256.
        decay: weight of the past in the moving average.
        commitment: weight of the loss that holds features near their entries.
        dead_below: an entry whose moving count of users falls below this is moved onto a random feature.
    """

    def __init__(
        self,
        entries: int = 1024,
        dim: int = 256,
        decay: float = 0.99,
        commitment: float = 0.25,
        dead_below: float = 1.0,
    ) -> None:
        super().__init__()
        self.entries = entries
        self.dim = dim
        self.codebook = VectorQuantize(
            dim=dim,
            codebook_size=entries,
            decay=decay,
            commitment_weight=commitment,
            kmeans_init=True,
            threshold_ema_dead_code=dead_below,
            rotation_trick=False,
        )

    def forward(self, features: Tensor) -> Quantized:
        """See the base class. In evaluation mode the codebook stays as it is."""
        flat = features.reshape(1, -1, self.dim)
        entries, indices, loss = self.codebook(flat)
        return Quantized(
            features=entries.reshape(features.shape),
            indices=indices.reshape(features.shape[:-1]),
            loss=loss.sum(),
            perplexity=perplexity(indices, self.entries),
        )

    def lookup(self, indices: Tensor) -> Tensor:
        """See the base class."""
        return functional.embedding(indices, self.codebook.codebook)
