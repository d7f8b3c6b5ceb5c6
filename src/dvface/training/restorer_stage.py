"""Stage 3: learn to restore, on decoded pixels."""

from typing import Any

from torch import Tensor

from dvface.contracts import ClipBatch
from dvface.losses.terms import WeightedLosses
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class RestorerStage(Stage):
    """Backbone, fusion and refinement learn by L_rec, L_per and L_temp (Figure 2a); prior and codebooks are frozen.

    Args:
        model: the restorer.
        losses: the weighted terms.
        learning_rate: see `Stage`.
        warmup_steps: see `Stage`.
        seed: see `Stage`.
    """

    def __init__(
        self, model: Restorer, losses: WeightedLosses, learning_rate: float, warmup_steps: int, seed: int
    ) -> None:
        super().__init__(model, learning_rate, warmup_steps, seed)
        self.terms = losses
        model.requires_grad_(True)
        model.autoencoder.requires_grad_(False)
        model.prior.requires_grad_(False)

    def train(self, mode: bool = True) -> "RestorerStage":
        """The frozen prior stays in evaluation mode, so that its codebooks do not move."""
        super().train(mode)
        self.model.prior.eval()
        return self

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and each term."""
        values: dict[str, Any]
        total, values = self.terms(self.model(batch.degraded), batch.clean, self.global_step)
        return total, values
