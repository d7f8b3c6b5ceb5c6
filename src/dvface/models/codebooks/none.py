"""No codebook: features stay what they are."""

import torch
from torch import Tensor
from torch.nn import functional

from dvface.contracts import PriorSide, Quantized
from dvface.models.codebooks.base import Quantizer


class NoQuantizer(Quantizer):
    """Leaves features continuous, for experiments that ask what quantizing is worth.

    The predictor then regresses the clean clip's features instead of scoring entries.

    Args:
        dim: channels C.
    """

    entries = 0
    levels = 0

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, features: Tensor) -> Quantized:
        """The features themselves, no indices, nothing to minimise."""
        nothing = features.new_zeros(())
        return Quantized(features, self._no_indices(features), nothing, nothing, nothing)

    def lookup(self, indices: Tensor) -> Tensor:
        """There is nothing to look up.

        Raises:
            TypeError: always.
        """
        raise TypeError("without a codebook there are no entries to look up")

    @property
    def outputs(self) -> int:
        """C: the predictor gives the features themselves."""
        return self.dim

    def choose(self, scores: Tensor) -> PriorSide:
        """The predicted features as they are."""
        logits = scores.new_zeros((*scores.shape[:-1], 0, 0))
        return PriorSide(tokens=scores, logits=logits, indices=self._no_indices(scores))

    def prediction_loss(self, scores: Tensor, target: Quantized) -> Tensor:
        """Mean squared error to the clean clip's features."""
        return functional.mse_loss(scores, target.features)

    def _no_indices(self, features: Tensor) -> Tensor:
        return torch.zeros((*features.shape[:-1], 0), dtype=torch.int64, device=features.device)
