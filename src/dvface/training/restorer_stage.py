"""The restorer stages: learn to restore, first in latents, then on decoded pixels."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from dvface.contracts import ClipBatch
from dvface.errors import nearest
from dvface.losses.weighted import WeightedLosses
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class _RestorerStage(Stage):
    """Prior and codebooks are frozen.

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
        model.requires_grad_(False)

    def train(self, mode: bool = True) -> "_RestorerStage":
        """The frozen prior stays in evaluation mode, so that its codebooks do not move."""
        super().train(mode)
        self.model.prior.eval()
        return self

    def show(self, batch: ClipBatch) -> dict[str, Tensor]:
        """Input, what the restorer makes of it, and the clean clip."""
        return {"input": batch.degraded, "restored": self.model(batch.degraded), "clean": batch.clean}


class RestorerLatentStage(_RestorerStage):
    """Backbone and fusion learn to give the clean clip's latents: no decoder in the way, long clips fit.

    DOVE's first stage (its second is `RestorerStage`); DVFace's own order is unpublished.

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
        super().__init__(model, losses, learning_rate, warmup_steps, seed)
        model.backbone.unfreeze()

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and each term, between restored and clean latents."""
        with torch.no_grad():
            clean = self.model.encode(batch.clean)
        return self.terms(self.model.restore_latents(batch.degraded), clean, self.global_step)


class RestorerStage(_RestorerStage):
    """Backbone, fusion and refinement, or parts of them, learn by L_rec, L_per and L_temp on pixels (Figure 2a).

    Args:
        model: the restorer.
        losses: the weighted terms.
        learning_rate: see `Stage`.
        warmup_steps: see `Stage`.
        seed: see `Stage`.
        train_decoder: the autoencoder's decoder learns too. The figure marks the encoder as frozen and not the
            decoder; whether the authors train it is unpublished.
        parts: of the restorer that learn, such as ``refinement.strength``; ``backbone`` has the fusion in it.

    Raises:
        ValueError: the restorer has no such part, or it is frozen in this stage.
    """

    def __init__(
        self,
        model: Restorer,
        losses: WeightedLosses,
        learning_rate: float,
        warmup_steps: int,
        seed: int,
        train_decoder: bool,
        parts: Sequence[str] = ("backbone", "refinement"),
    ) -> None:
        super().__init__(model, losses, learning_rate, warmup_steps, seed)
        for name in parts:
            self._learn(name)
        if train_decoder:
            model.autoencoder.unfreeze_decoder()

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and each term."""
        values: dict[str, Any]
        total, values = self.terms(self.model(batch.degraded), batch.clean, self.global_step)
        return total, values

    def _learn(self, name: str) -> None:
        if name == "backbone":
            self.model.backbone.unfreeze()  # it may keep a part of itself frozen
            return
        known = ["backbone", *(part for part, _ in self.model.named_modules() if part.startswith("refinement"))]
        if name not in known:
            raise ValueError(f"stages.restorer.module.parts: {name!r} cannot learn{nearest(name, known)}")
        self.model.get_submodule(name).requires_grad_(True)
