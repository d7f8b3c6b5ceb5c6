"""A codebook whose entries follow the features."""

from torch import Tensor
from torch.nn import functional
from vector_quantize_pytorch import VectorQuantize

from dvface.contracts import Quantized
from dvface.models.codebooks.base import Quantizer, entry_use


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
        entries, indices, loss = self.codebook(features.reshape(1, -1, self.dim))
        indices = indices.reshape(*features.shape[:-1], 1)
        return Quantized(entries.reshape(features.shape), indices, loss.sum(), *entry_use(indices, self.entries))

    def lookup(self, indices: Tensor) -> Tensor:
        """See the base class."""
        return functional.embedding(indices.squeeze(-1), self.codebook.codebook)
