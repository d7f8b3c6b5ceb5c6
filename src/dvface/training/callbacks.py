"""What happens around the steps: progress, records, checkpoints."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint, WeightAveraging
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only
from torch import Tensor

from dvface.report.progress import Progress
from dvface.tracking.run import NoRun, Run


class WeightsAverage(WeightAveraging):
    """An exponential moving average of the trained weights, which the stage ends with.

    The past weighs min(decay, (1 + n) / (10 + n)) after n steps, so that a short stage is not dominated by its
    start. Codebooks that are buffers are averaged too: their entries must belong to the encoder that is kept.

    Args:
        decay: weight of the past in a long run.
    """

    def __init__(self, decay: float) -> None:
        def average(kept: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            if not kept.is_floating_point():
                return current
            count = float(steps)
            return torch.lerp(kept, current, 1 - min(decay, (1 + count) / (10 + count)))

        super().__init__(use_buffers=True, avg_fn=average)

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """After every step."""
        return step_idx is not None


class LastCheckpoint(Checkpoint):
    """One file that says where an unfinished stage stands, and where a finished one stood at its end.

    Args:
        path: replaced only when the new one is whole.
        every: steps between two.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path = path
        self.every = every

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where a step has just ended."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        if trainer.global_step % self.every == 0 or trainer.global_step >= trainer.max_steps:
            trainer.save_checkpoint(self.path)


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


class RunLogger(Logger):
    """Lightning's numbers into the tracking run and into a file beside the checkpoints.

    Args:
        run: where numbers are tracked, as ``stage/part/name``.
        stage: the stage's name.
        path: a JSON Lines file; a resumed stage appends, and the later line of a step counts.
    """

    def __init__(self, run: Run | NoRun, stage: str, path: Path) -> None:
        super().__init__()
        self.run = run
        self.stage = stage
        self.path = path

    @property
    def name(self) -> str:
        """The stage."""
        return self.stage

    @property
    def version(self) -> str:
        """The tracking run."""
        return self.run.id

    def log_hyperparams(self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any) -> None:
        """The chain records the whole configuration once; a stage has nothing to add."""

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record one step's numbers."""
        numbers = {name: value for name, value in metrics.items() if name != "epoch"}
        self.run.log_metrics({f"{self.stage}/{name}": value for name, value in numbers.items()}, step or 0)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            # The newline first, so that a line cut short by a power cut spoils no other.
            file.write("\n" + json.dumps({"step": step or 0, **numbers}))

    def finalize(self, status: str) -> None:
        """Send what is buffered."""
        self.run.flush()


def read_curves(path: Path) -> dict[str, list[tuple[int, float]]]:
    """The curves that `RunLogger` wrote: name to (step, value) in order of steps."""
    curves: dict[str, dict[int, float]] = {}
    if path.is_file():
        for line in filter(None, path.read_text(encoding="utf-8").splitlines()):
            try:
                numbers = json.loads(line)
            except json.JSONDecodeError:
                continue  # cut short when the process ended; the resumed run wrote the step again
            step = numbers.pop("step")
            for name, value in numbers.items():
                curves.setdefault(name, {})[step] = value
    return {name: sorted(points.items()) for name, points in curves.items()}
