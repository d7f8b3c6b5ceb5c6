"""The numbers of a stage: in a file beside its checkpoints, and in the tracking run."""

import json
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.utilities import rank_zero_only

from dvface.files import write_text
from dvface.tracking.run import NoRun, Run
from dvface.training.curves import read_lines


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
        self._tracked: dict[str, set[int]] = {}

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
    def go_on(self, step: int) -> None:
        """Stand where a checkpoint of ``step`` steps stands: later numbers will be written again, earlier ones remain.

        A process that was killed may have written steps that its last checkpoint lacks, and may not have sent the
        last ones to the tracking run, which never forgets: what it lacks is sent now, what it has is not sent again.
        """
        kept = [(number, numbers) for number, numbers in read_lines(self.path) if number < step]
        write_text(self.path, "".join("\n" + json.dumps({"step": number, **numbers}) for number, numbers in kept))
        for number, numbers in kept:
            self._send(numbers, number)

    @rank_zero_only
    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Record one step's numbers."""
        numbers = {name: float(value) for name, value in metrics.items() if name != "epoch"}
        self._send(numbers, step or 0)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with open(self.path, "a", encoding="utf-8") as file:
            # The newline first, so that a line cut short by a power cut spoils no other.
            file.write("\n" + json.dumps({"step": step or 0, **numbers}))

    def _send(self, numbers: Mapping[str, float], step: int) -> None:
        fresh = {}
        for name, value in numbers.items():
            tracked_as = f"{self.stage}/{name}"
            if name not in self._tracked:
                self._tracked[name] = self.run.steps(tracked_as)
            if step not in self._tracked[name]:
                self._tracked[name].add(step)
                fresh[tracked_as] = value
        self.run.log_metrics(fresh, step)

    def finalize(self, status: str) -> None:
        """Send what is buffered."""
        self.run.flush()


class StepRecords(Callback):
    """Records a step's numbers as soon as it ends, before the checkpoint that lies behind it: means over processes.

    Lightning's own records come later, so a process that is killed in between would lose them for ever. Stages
    therefore log their training numbers with ``logger=False``.

    Args:
        logger: takes them.
        every: steps between two records.
    """

    def __init__(self, logger: RunLogger, every: int) -> None:
        self.logger = logger
        self.every = every

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Record where it is due."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches or trainer.global_step % self.every:
            return
        numbers = {
            name: value.double() for name, value in trainer.callback_metrics.items() if name.startswith("train/")
        }
        means = trainer.strategy.reduce(torch.stack(list(numbers.values())), reduce_op="mean").tolist()
        self.logger.log_metrics(dict(zip(numbers, means, strict=True)), trainer.global_step - 1)
