"""The prior stage: learn to say, from degraded clips, which entries the clean clips would have chosen."""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class PriorStage(Stage):
    """Cross-entropy on the clean clip's entries plus squared error to their features; codebooks frozen.

    CodeFormer's and BFVR-STC's second stage: the teacher is the prior as the codebook stage left it.

    Args:
        model: the restorer whose prior learns.
        code_weight: weight of the cross-entropy.
        feature_weight: weight of the squared error beside it.
        learning_rate: see `Stage`.
        warmup_steps: see `Stage`.
        seed: see `Stage`.

    Raises:
        ValueError: both sides of the prior are none.
    """

    def __init__(
        self,
        model: Restorer,
        code_weight: float,
        feature_weight: float,
        learning_rate: float,
        warmup_steps: int,
        seed: int,
    ) -> None:
        super().__init__(model, learning_rate, warmup_steps, seed)
        if not model.prior.branches:
            raise ValueError("both sides of the prior are none, there is nothing to predict; say stages/prior=none")
        self.code_weight = code_weight
        self.feature_weight = feature_weight
        self.teacher = copy.deepcopy(model.prior).requires_grad_(False).eval()
        model.requires_grad_(False)
        model.prior.requires_grad_(True)
        for codebook in model.prior.codebooks:
            codebook.requires_grad_(False)

    def train(self, mode: bool = True) -> "PriorStage":
        """Teacher and codebooks stay as they are whatever the trainer asks."""
        super().train(mode)
        self.teacher.eval()
        for codebook in self.model.prior.codebooks:
            codebook.eval()
        return self

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Each side's code loss, feature error and, where there are entries, the share predicted right."""
        prior = self.model.prior
        with torch.no_grad():
            clean = self.teacher.extract(self.model.views(batch.clean))
            targets = self.teacher.quantize(clean)
        total = batch.clean.new_zeros(())
        values: dict[str, Tensor] = {}
        for name, own in prior.extract(self.model.views(batch.degraded)).items():
            scores = prior.branches[name].score(own)
            codebook = prior.codebook(name)
            code = codebook.prediction_loss(scores, targets[name])
            distance = functional.mse_loss(own, targets[name].features)
            total = total + self.code_weight * code + self.feature_weight * distance
            values[f"code_{name}"] = code
            values[f"feature_{name}"] = distance
            if codebook.levels:
                chosen = codebook.choose(scores).indices
                values[f"accuracy_{name}"] = (chosen == targets[name].indices).float().mean()
        return total, values

    def entries(self, batch: ClipBatch) -> dict[str, Tensor]:
        """The entries predicted from the degraded clips, of each side (B, T', h, w, L) int64."""
        prior = self.model.prior
        own = prior.extract(self.model.views(batch.degraded))
        return {name: prior.codebook(name).choose(prior.branches[name].score(own[name])).indices for name in own}
