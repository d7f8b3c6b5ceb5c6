"""What happens around the steps: progress, and an average of the weights."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from dvface.report.progress import Progress
from dvface.training.finite import watch_of


class WeightsAverage(WeightAveraging):
    """An exponential moving average of the trained weights, which the stage ends with.

    The past weighs min(decay, (1 + n) / (10 + n)) after n steps, so that a short stage is not dominated by its
    start. Buffers are taken over as they are: a codebook that is one is a moving average already. A step that was
    taken back does not count.

    Args:
        decay: weight of the past in a long run.
    """

    def __init__(self, decay: float) -> None:
        def average(kept: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            count = float(steps)
            return torch.lerp(kept, current, 1 - min(decay, (1 + count) / (10 + count)))

        super().__init__(use_buffers=False, avg_fn=average)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every step."""
        return step_idx is not None

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average, unless the step was taken back."""
        if watch_of(module).spoilt:
            self._latest_update_step = trainer.global_step
        super().on_train_batch_end(trainer, module, outputs, batch, batch_idx)

    def on_fit_end(self, trainer: Trainer, module: LightningModule) -> None:
        """End with the average also where the checkpoint was of the last step, so that nothing was left to train."""
        self._copy_average_to_current(module)


class ProgressCallback(Callback):
    """A bar with the time left for one stage."""

    def __init__(self, description: str) -> None:
        self.description = description
        self._bar: Progress | None = None

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Open the bar where the stage stands; one process speaks for all."""
        if not trainer.is_global_zero:
            return
        self._bar = Progress(self.description, total=int(trainer.max_steps), start=trainer.global_step)
        self._bar.__enter__()

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """One step further, once its last batch is in."""
        if self._bar and (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._bar.advance(note=f"loss {float(outputs['loss']):.4f}")

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Close the bar."""
        self._close()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Close the bar, so that the message stands on its own line."""
        self._close()

    def _close(self) -> None:
        if self._bar:
            self._bar.__exit__(None, None, None)
            self._bar = None
