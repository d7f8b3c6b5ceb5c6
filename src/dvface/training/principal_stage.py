"""The autoencoder stage of a linear autoencoder: nothing is descended, statistics are gathered."""

import torch
from torch import Tensor, nn

from dvface.contracts import ClipBatch
from dvface.models.autoencoders.principal import PrincipalAutoencoder
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class PrincipalStage(Stage):
    """Gathers mean and covariance of clean blocks and gives the autoencoder their principal components.

    The autoencoder takes its basis after steps 1, 2, 4, 8, … and after the last one; each step's loss is that of a
    batch which the basis has not seen. Sums are kept in float64 as buffers: the checkpoint carries them, and a
    resumed stage ends with the same basis. Processes add up their sums at every step.

    Lightning counts steps by optimizer steps, so the stage has one parameter, which no loss depends on.

    Args:
        model: the restorer whose autoencoder is fitted.
        seed: see `Stage`.

    Raises:
        ValueError: the autoencoder is not a `PrincipalAutoencoder`.
    """

    count: Tensor
    sums: Tensor
    products: Tensor

    def __init__(self, model: Restorer, seed: int) -> None:
        super().__init__(model, learning_rate=1.0, warmup_steps=0, seed=seed)
        if not isinstance(model.autoencoder, PrincipalAutoencoder):
            raise ValueError(
                f"the principal stage fits a PrincipalAutoencoder, not a {type(model.autoencoder).__name__}; "
                "say autoencoder=principal or another stages/autoencoder"
            )
        model.requires_grad_(False)
        self.autoencoder = model.autoencoder
        self.clock = nn.Parameter(torch.zeros(()))
        samples = model.autoencoder.samples
        self.register_buffer("count", torch.zeros((), dtype=torch.float64))
        self.register_buffer("sums", torch.zeros(samples, dtype=torch.float64))
        self.register_buffer("products", torch.zeros(samples, samples, dtype=torch.float64))

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean squared error of what the autoencoder gives back now."""
        error = (self._reconstruct(batch) - batch.clean).square().mean()
        return error + 0 * self.clock, {}

    def show(self, batch: ClipBatch) -> dict[str, Tensor]:
        """The clean clip and what the autoencoder gives back now."""
        return {"clean": batch.clean, "reconstruction": self._reconstruct(batch)}

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """Judge the basis on one batch, then gather it."""
        loss = super().training_step(batch, batch_idx)
        self._gather(batch.clean)
        step = self.global_step + 1
        if self.count > 0 and (step & (step - 1) == 0 or step == self.trainer.max_steps):
            mean = self.sums / self.count
            self.autoencoder.fit(mean, self.products / self.count - torch.outer(mean, mean))
        return loss

    def _reconstruct(self, batch: ClipBatch) -> Tensor:
        return self.autoencoder.decode(self.autoencoder.encode(batch.clean))

    @torch.no_grad()
    def _gather(self, clean: Tensor) -> None:
        blocks = self.autoencoder.blocks(clean).flatten(0, 3).double()
        gathered = (
            (self.count, blocks.new_tensor(float(len(blocks)))),
            (self.sums, blocks.sum(dim=0)),
            (self.products, blocks.T @ blocks),
        )
        reduced = [self.trainer.strategy.reduce(own, reduce_op="sum") for _, own in gathered]
        if all(bool(own.isfinite().all()) for own in reduced):  # else the step is taken back, and has nothing to give
            for (total, _), own in zip(gathered, reduced, strict=True):
                total += own
