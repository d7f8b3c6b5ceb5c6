"""Stage 2: learn to say, from degraded clips, which entries the clean clips would have chosen."""

import copy

import torch
from torch import Tensor
from torch.nn import functional

from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class PriorStage(Stage):
    """Cross-entropy on the clean clip's entries plus squared error to its features; codebooks frozen.

    CodeFormer's and BFVR-STC's second stage: the teacher is the prior as the codebook stage left it.

    Args:
        model: the restorer whose prior learns.
        feature_weight: weight of the squared error beside the cross-entropy.
        learning_rate: see `Stage`.
        warmup_steps: see `Stage`.
        seed: see `Stage`.
    """

    def __init__(
        self, model: Restorer, feature_weight: float, learning_rate: float, warmup_steps: int, seed: int
    ) -> None:
        super().__init__(model, learning_rate, warmup_steps, seed)
        self.feature_weight = feature_weight
        self.teacher = copy.deepcopy(model.prior).requires_grad_(False).eval()
        model.requires_grad_(False)
        model.prior.requires_grad_(True)
        for branch in model.prior.branches.values():
            if quantizer := getattr(branch, "quantizer", None):
                quantizer.requires_grad_(False)

    def train(self, mode: bool = True) -> "PriorStage":
        """Teacher and codebooks stay as they are whatever the trainer asks."""
        super().train(mode)
        self.teacher.eval()
        for branch in self.model.prior.branches.values():
            if quantizer := getattr(branch, "quantizer", None):
                quantizer.eval()
        return self

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Each side's cross-entropy, feature error and the share of entries predicted right."""
        total = batch.clean.new_zeros(())
        values: dict[str, Tensor] = {}
        with torch.no_grad():
            clean_features = self.teacher.encoder(batch.clean)
        degraded_features = self.model.prior.encoder(batch.degraded)
        for name, branch in self.model.prior.branches.items():
            with torch.no_grad():
                target = self.teacher.branches[name].quantize(clean_features)
            if target is None:
                continue
            own, quantized = target
            features, side = branch.predict(degraded_features)
            code = functional.cross_entropy(side.logits.flatten(0, -2), quantized.indices.flatten())
            distance = functional.mse_loss(features, own)
            total = total + code + self.feature_weight * distance
            values[f"code_{name}"] = code
            values[f"feature_{name}"] = distance
            values[f"accuracy_{name}"] = (side.indices == quantized.indices).float().mean()
        return total, values
