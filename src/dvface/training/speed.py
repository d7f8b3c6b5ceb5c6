"""How fast a stage trains, what it waits for, and how much memory it needs."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import PassThroughProfiler

from dvface.contracts import ClipBatch
from dvface.models.memory import peak_memory

MUCH_WAITING = 0.5
"""Share of a stage's time from which on waiting for clips is worth a word to the user."""


class FetchWatch(PassThroughProfiler):
    """When the trainer last asked for a training batch, and when it got it.

    Args:
        clock: seconds that only grow.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.clock = clock
        self.asked = self.got = clock()

    def start(self, action_name: str) -> None:
        """Lightning begins something."""
        if action_name.endswith(".train_dataloader_next"):
            self.asked = self.clock()

    def stop(self, action_name: str) -> None:
        """Lightning has ended something."""
        if action_name.endswith(".train_dataloader_next"):
            self.got = self.clock()


@dataclass
class Span:
    """What one process did in some batches.

    Attributes:
        batches: their number.
        clips: clips in them.
        frames: frames of these clips.
        seconds: time from asking for each batch to the end of its step.
        waiting: the part of ``seconds`` until the batch came.
    """

    batches: int = 0
    clips: int = 0
    frames: int = 0
    seconds: float = 0.0
    waiting: float = 0.0

    @property
    def waiting_share(self) -> float:
        """From 0 to 1; 0 where no time has passed."""
        return self.waiting / self.seconds if self.seconds else 0.0


class Speed(Callback):
    """Records how fast training is, over the steps since the record before, under names that begin with ``speed/``.

    ``clips_per_second`` and ``frames_per_second`` of all processes together, ``step_seconds``, ``waiting_share`` (of
    the time, spent waiting for the loader) and ``memory_gigabytes`` (10⁹ bytes: the most that a GPU held at once in
    this stage, else the most that a process has held); of waiting and memory the largest of any process. Validation,
    checkpoints and records are left out, and so is the first batch, which pays for starting the loader. Time is the
    processor's: what a GPU still has to do when a step ends counts for the step after.

    Where a stage mostly waits, a sentence at its end says so.

    Args:
        stage: the stage's name.
        every: steps between two records.
        say: prints a line for the user.
        clock: seconds that only grow.

    Attributes:
        watch: to be given to the trainer as its ``profiler``; without it no waiting is seen.
    """

    def __init__(
        self, stage: str, every: int, say: Callable[[str], None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self.stage = stage
        self.every = every
        self.say = say
        self.clock = clock
        self.watch = FetchWatch(clock)
        self._warm = False
        self._recent = Span()
        self._whole = Span()

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Let the stage have its own peak of memory."""
        if module.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(module.device)

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: ClipBatch, batch_idx: int
    ) -> None:
        """Add up; record every so many steps."""
        now = self.clock()
        if self._warm:
            for span in (self._recent, self._whole):
                span.batches += 1
                span.clips += len(batch.clean)
                span.frames += len(batch.clean) * batch.clean.shape[2]
                span.seconds += now - self.watch.asked
                span.waiting += self.watch.got - self.watch.asked
        self._warm = True
        step_ended = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if step_ended and trainer.global_step % self.every == 0 and self._recent.seconds:
            self._record(trainer, module)
            self._recent = Span()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Say so if the stage mostly waited."""
        share = _largest(trainer, module, self._whole.waiting_share)
        if share > MUCH_WAITING and trainer.is_global_zero:
            self.say(
                f"{self.stage}: {share:.0%} of the time went into waiting for clips; "
                "raise data.workers, or data.prefetch where clips come unevenly"
            )

    def _record(self, trainer: Trainer, module: LightningModule) -> None:
        span, processes = self._recent, trainer.world_size
        numbers = {
            "speed/clips_per_second": span.clips * processes / span.seconds,
            "speed/frames_per_second": span.frames * processes / span.seconds,
            "speed/step_seconds": span.seconds / span.batches * trainer.accumulate_grad_batches,
            "speed/waiting_share": _largest(trainer, module, span.waiting_share),
            "speed/memory_gigabytes": _largest(trainer, module, peak_memory(module.device) / 1e9),
        }
        for logger in trainer.loggers:
            # Lightning counts records from 0: the same place as the loss of this step.
            logger.log_metrics(numbers, step=trainer.global_step - 1)


def _largest(trainer: Trainer, module: LightningModule, value: float) -> float:
    """The largest value of any process; all of them must ask."""
    return float(trainer.strategy.reduce(torch.tensor(value, device=module.device), reduce_op="max"))
