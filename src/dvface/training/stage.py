"""What every training stage shares."""

from abc import ABC, abstractmethod
from contextlib import nullcontext
from dataclasses import replace
from math import cos, pi

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer
from dvface.seeding import derive_seed
from dvface.training.sharded import ShardedStrategy


class Stage(LightningModule, ABC):
    """Trains some parts of a restorer: AdamW, linear warm-up, cosine decay to zero.

    Args:
        model: the whole restorer; the stage decides what of it learns.
        learning_rate: the peak.
        warmup_steps: steps to reach it.
        seed: the run's seed; every step draws from its own stream, so a resumed run draws the same.
    """

    def __init__(self, model: Restorer, learning_rate: float, warmup_steps: int, seed: int) -> None:
        super().__init__()
        if learning_rate <= 0:
            raise ValueError(f"learning_rate must be above 0, got {learning_rate}")
        self.model = model
        self.learning_rate = learning_rate
        self.warmup_steps = warmup_steps
        self.seed = seed

    @abstractmethod
    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise and the numbers to log."""

    def show(self, batch: ClipBatch) -> dict[str, Tensor]:
        """What can be looked at of a held-out batch: title to video, (B, 3, T, H, W) in [-1, 1]; nothing by default."""
        return {}

    def on_train_batch_start(self, batch: ClipBatch, batch_idx: int) -> None:
        """Give the batch its own random stream."""
        part = batch_idx % self.trainer.accumulate_grad_batches
        torch.manual_seed(derive_seed(self.seed, "step", self.global_step, part, self.global_rank))

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """One step on one batch."""
        loss, values = self._measured(batch)
        self._log("train", loss, values, len(batch.keys))
        return loss

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """The same numbers on held-out clips."""
        loss, values = self._measured(batch)
        self._log("held_out", loss, values, len(batch.keys))

    def _measured(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        strategy = self.trainer.strategy
        with strategy.autocast() if isinstance(strategy, ShardedStrategy) else nullcontext():
            return self.losses(batch)

    def _log(self, part: str, loss: Tensor, values: dict[str, Tensor], size: int) -> None:
        numbers = {"loss": loss, **values}
        named = {f"{part}/{name}": value for name, value in numbers.items()}
        self.log_dict(named, batch_size=size, sync_dist=part == "held_out")

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with β = (0.9, 0.95), as DOVE trains its transformer, and the schedule."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=self.learning_rate, betas=(0.9, 0.95), weight_decay=1e-4)
        total = int(self.trainer.max_steps)

        def factor(step: int) -> float:
            if step < self.warmup_steps:
                return (step + 1) / self.warmup_steps
            return 0.5 * (1 + cos(pi * (step - self.warmup_steps) / max(1, total - self.warmup_steps)))

        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by the norm over all weights, wherever their pieces lie."""
        strategy = self.trainer.strategy
        if isinstance(strategy, ShardedStrategy):
            strategy.clip_gradients(float(gradient_clip_val or 0.0))
        else:
            self.clip_gradients(optimizer, gradient_clip_val, gradient_clip_algorithm)

    def transfer_batch_to_device(self, batch: ClipBatch, device: torch.device, dataloader_idx: int) -> ClipBatch:
        """Move both sides of the batch."""
        return replace(batch, clean=batch.clean.to(device), degraded=batch.degraded.to(device))


class NoStage(Stage):
    """A stage that an experiment leaves out; the chain does not train stages of 0 steps.

    Args:
        model: the restorer.
    """

    def __init__(self, model: Restorer) -> None:
        super().__init__(model, learning_rate=1.0, warmup_steps=0, seed=0)

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """There are none.

        Raises:
            ValueError: always; give the stage a module before giving it steps.
        """
        raise ValueError("this stage is none: choose a variant of its group before giving it steps")
