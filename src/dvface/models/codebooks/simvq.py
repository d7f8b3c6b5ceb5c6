"""A codebook that learns as a whole."""

from torch import Tensor
from vector_quantize_pytorch import SimVQ

from dvface.models.codebooks.table import LearnedTableQuantizer


class SimQuantizer(LearnedTableQuantizer):
    """Entries are one learned linear map of fixed random vectors, so that every step moves all of them.

    SimVQ (arXiv 2411.02038), by vector-quantize-pytorch: no entry can be left behind, so none is ever dead.

    Args:
        entries: K.
        dim: C.
        commitment: weight of the loss that holds features near their entries.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, entries: int = 1024, dim: int = 256, commitment: float = 0.25) -> None:
        super().__init__(entries, dim, commitment, usage_weight=0.0)
        self.codebook = SimVQ(dim=dim, codebook_size=entries)

    @property
    def table(self) -> Tensor:
        """See the base class."""
        table: Tensor = self.codebook.codebook
        return table
