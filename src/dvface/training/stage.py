"""What every training stage shares."""

from abc import ABC, abstractmethod
from dataclasses import replace
from math import cos, inf, pi

import torch
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor
from torch.optim import Optimizer

from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer
from dvface.seeding import derive_seed
from dvface.training.finite import StepWatch
from dvface.training.sharded import clip_gradients


class HeldOutSums:
    """Sums over held-out clips, in float64, of which every process has its own."""

    def __init__(self) -> None:
        self.clips = 0
        self.sums: dict[str, Tensor] = {}

    def add(self, numbers: dict[str, Tensor], clips: int) -> None:
        """Add what was measured, as means, on so many clips; padding counts for none, and not by what it gave."""
        if self.sums and set(numbers) != set(self.sums):
            raise ValueError(f"clips must give the same numbers, got {sorted(numbers)} after {sorted(self.sums)}")
        self.clips += clips
        for name, value in numbers.items():
            own = value.detach().double() * clips if clips else value.new_zeros((), dtype=torch.float64)
            self.sums[name] = self.sums[name] + own if name in self.sums else own

    def means(self, trainer: Trainer) -> dict[str, Tensor]:
        """The means over all processes' clips; every process must ask, and all have the same names."""
        if not self.sums:
            return {}
        first = next(iter(self.sums.values()))
        totals = torch.stack([first.new_tensor(float(self.clips)), *self.sums.values()])
        clips, *sums = trainer.strategy.reduce(totals, reduce_op="sum")
        return {name: total / clips for name, total in zip(self.sums, sums, strict=True)}


class Stage(LightningModule, ABC):
    """Trains some parts of a restorer: AdamW, linear warm-up, cosine decay to zero.

    A step whose loss or gradients are not finite is taken back as a whole, see `StepWatch`; the schedule goes on.

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
        self.watch = StepWatch()
        self.held_out = HeldOutSums()

    @abstractmethod
    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The scalar to minimise and the numbers to log."""

    def show(self, batch: ClipBatch) -> dict[str, Tensor]:
        """What can be looked at of a held-out batch: title to video, (B, 3, T, H, W) in [-1, 1]; nothing by default."""
        return {}

    def on_train_batch_start(self, batch: ClipBatch, batch_idx: int) -> None:
        """Give the batch its own random stream; with a step's first batch, remember what the step may change."""
        part = batch_idx % self.trainer.accumulate_grad_batches
        if part == 0:
            self.watch.begin(self)
        torch.manual_seed(derive_seed(self.seed, "step", self.global_step, part, self.global_rank))

    def training_step(self, batch: ClipBatch, batch_idx: int) -> Tensor:
        """One step on one batch."""
        loss, values = self.losses(batch)
        numbers = {"loss": loss, **values}
        self.watch.add(batch, numbers)
        named = {f"train/{name}": value for name, value in numbers.items()}
        self.log_dict(named, batch_size=len(batch.keys), logger=False)  # `StepRecords` hands them to the logger
        return loss

    def on_validation_epoch_start(self) -> None:
        """No held-out clip has been seen yet."""
        self.held_out = HeldOutSums()

    def validation_step(self, batch: ClipBatch, batch_idx: int) -> None:
        """The same numbers on held-out clips, each with a random stream of its own wherever it is measured."""
        place = batch_idx * self.trainer.world_size + self.global_rank
        torch.manual_seed(derive_seed(self.seed, "held_out", place))
        loss, values = self.losses(batch)
        self.held_out.add({"loss": loss, **values}, 0 if batch.padding else len(batch.keys))

    def on_validation_epoch_end(self) -> None:
        """Log the means over the clips of all processes."""
        means = self.held_out.means(self.trainer)
        self.log_dict({f"held_out/{name}": value for name, value in means.items()})

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with β = (0.9, 0.95), as DOVE trains its transformer, and the schedule."""
        trainable = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(trainable, lr=self.learning_rate, betas=(0.9, 0.95), weight_decay=1e-4)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self._factor)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_train_start(self) -> None:
        """Go on at the configured rate: a fork may change it, and the checkpoint has brought back the old one."""
        for optimizer, config in zip(self.trainer.optimizers, self.trainer.lr_scheduler_configs, strict=True):
            config.scheduler.base_lrs = [self.learning_rate] * len(optimizer.param_groups)
            for group in optimizer.param_groups:
                group["initial_lr"] = self.learning_rate
                group["lr"] = self.learning_rate * self._factor(config.scheduler.last_epoch)

    def _factor(self, step: int) -> float:
        """The share of the peak rate after ``step`` steps."""
        if step < self.warmup_steps:
            return (step + 1) / self.warmup_steps
        total = int(self.trainer.max_steps)
        return 0.5 * (1 + cos(pi * (step - self.warmup_steps) / max(1, total - self.warmup_steps)))

    def configure_gradient_clipping(
        self, optimizer: Optimizer, gradient_clip_val: float | None = None, gradient_clip_algorithm: str | None = None
    ) -> None:
        """Clip by the norm over all weights, wherever their pieces lie; take the step back if it is not finite."""
        trainable = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        norm = clip_gradients(trainable, gradient_clip_val or inf)
        self.log("train/gradient_norm", norm, logger=False)
        self.watch.judge(self.trainer, norm)
        if self.watch.spoilt:
            self.watch.take_back(self)

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
