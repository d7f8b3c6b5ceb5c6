"""A codebook without entries to learn: each of a few channels is rounded."""

from collections.abc import Sequence
from math import prod

from torch import Tensor
from vector_quantize_pytorch import FSQ

from dvface.contracts import Quantized
from dvface.models.codebooks.base import Quantizer, entry_use, full_precision, straight_through


class FiniteScalarQuantizer(Quantizer):
    """Finite scalar quantization (arXiv 2309.15505), by vector-quantize-pytorch.

    A linear map to a few channels, each bounded and rounded to its own number of values, and a linear map back.
    Every combination of values is an entry, so none can collapse and nothing asks to be minimised.

    Args:
        values: how many values each channel may take, at least 3 each; their product is K.
        dim: C.

    Raises:
        ValueError: a number is out of range.
    """

    def __init__(self, values: Sequence[int], dim: int = 256) -> None:
        super().__init__()
        if not values or min(values) < 3:
            raise ValueError(f"values must be one or more numbers of at least 3, got {list(values)}")
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}")
        self.dim = dim
        self.entries = prod(values)
        # The library's own list of entries cannot be made on the meta device, and nobody reads it here.
        self.codebook = FSQ(levels=list(values), dim=dim, return_indices=False)

    def forward(self, features: Tensor) -> Quantized:
        """See the base class. Gradients pass straight through the rounding, and through both linear maps."""
        with full_precision(features):
            soft = self.codebook.quantize(self.codebook.project_in(features.reshape(-1, self.dim).float()))
            indices = self.codebook.codes_to_indices(soft).long()
            codes = straight_through(soft, self.codebook._indices_to_codes(indices))
            quantized = self.codebook.project_out(codes).reshape(features.shape)
        indices = indices.reshape(*features.shape[:-1], 1)
        return Quantized(quantized, indices, quantized.new_zeros(()), *entry_use(indices, self.entries))

    def lookup(self, indices: Tensor) -> Tensor:
        """See the base class."""
        with full_precision(indices):
            codes = self.codebook.project_out(self.codebook._indices_to_codes(indices.flatten()))
        return codes.reshape(*indices.shape[:-1], self.dim)
