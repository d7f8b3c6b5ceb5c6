"""A codebook without entries to learn: each of log2 K channels is a bit."""

from torch import Tensor
from vector_quantize_pytorch import LFQ

from dvface.contracts import Quantized
from dvface.models.codebooks.base import Quantizer, entry_use, full_precision


class LookupFreeQuantizer(Quantizer):
    """Lookup-free quantization (MAGVIT-v2, arXiv 2310.05737), by vector-quantize-pytorch.

    A linear map to log2 K channels, the sign of each, and a linear map back. The loss asks each place to be sure
    of its entry and the batch to use all of them alike.

    Args:
        entries: K, a power of two.
        dim: C.
        entropy_weight: weight of the entropy loss.
        commitment: weight of the loss that holds the channels near ±1.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(
        self, entries: int = 1024, dim: int = 256, entropy_weight: float = 0.1, commitment: float = 0.25
    ) -> None:
        super().__init__()
        if entries < 2 or entries & (entries - 1):
            raise ValueError(f"entries must be a power of two for a lookup-free codebook, got {entries}")
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        self.dim = dim
        self.entries = entries
        self.codebook = LFQ(
            dim=dim,
            codebook_size=entries,
            entropy_loss_weight=entropy_weight,
            commitment_loss_weight=commitment,
        )

    def forward(self, features: Tensor) -> Quantized:
        """See the base class. Gradients pass straight through the signs, in training mode only."""
        with full_precision(features):
            entries, indices, loss = self.codebook(features.reshape(1, -1, self.dim).float())
        indices = indices.reshape(*features.shape[:-1], 1).long()
        return Quantized(entries.reshape(features.shape), indices, loss, *entry_use(indices, self.entries))

    def lookup(self, indices: Tensor) -> Tensor:
        """See the base class."""
        with full_precision(indices):
            entries = self.codebook.indices_to_codes(indices.reshape(1, -1))
        return entries.reshape(*indices.shape[:-1], self.dim)
