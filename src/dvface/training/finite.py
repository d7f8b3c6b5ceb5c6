"""A step whose loss or gradients are not finite: taken back on every process, recorded, refused when it goes on."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from dvface.contracts import ClipBatch
from dvface.errors import UserError
from dvface.models.codebooks.base import Quantizer
from dvface.training.checkpoints import LastCheckpoint, highest

NAMED_CLIPS = 3
"""How many clips a message names; the record has all."""


@dataclass(frozen=True)
class Part:
    """What one batch of a step gave.

    Attributes:
        keys: of its clips.
        names: of what was measured; the loss comes first.
        finite: (N,) bool, for each name whether its value is finite; on the device, read at the step's end only.
    """

    keys: tuple[str, ...]
    names: tuple[str, ...]
    finite: Tensor


class StepWatch:
    """Follows one optimizer step from its first batch on, so that it can be taken back as a whole.

    Gradients that are cleared move no weight and no state of the optimizer. What a forward pass itself changes is
    copied before the step: the buffers that checkpoints carry, and the quantizers' parameters, which are placed on
    features without gradient.

    Attributes:
        parts: the step's batches so far.
        gradient_norm: before clipping, once `judge` has been called.
        spoilt: whether the step was taken back.
    """

    def __init__(self) -> None:
        self.parts: list[Part] = []
        self.gradient_norm = 0.0
        self.spoilt = False
        self._before: dict[str, Tensor] = {}

    def begin(self, module: LightningModule) -> None:
        """A step begins: copy what its forward passes may change."""
        self.parts = []
        self.spoilt = False
        self._before = {name: tensor.detach().clone() for name, tensor in _changed_by_forward(module).items()}

    def add(self, batch: ClipBatch, numbers: dict[str, Tensor]) -> None:
        """Take down what a batch measured; the loss comes first in ``numbers``."""
        values = [value.detach().float() for value in numbers.values()]
        self.parts.append(Part(batch.keys, tuple(numbers), torch.isfinite(torch.stack(values))))

    def judge(self, trainer: Trainer, gradient_norm: Tensor) -> None:
        """Decide with all processes whether the step is spoilt: by a loss of any, or by the gradients' norm.

        Where a gradient scaler is at work, gradients that overflow are its business: it skips such steps itself
        and lowers its scale. Only where it has nothing left to lower do they count.
        """
        finite = torch.stack([part.finite[0] for part in self.parts]).all()
        scaler = getattr(trainer.precision_plugin, "scaler", None)
        if scaler is None or scaler.get_scale() < 1:
            finite = finite & torch.isfinite(gradient_norm)
        self.gradient_norm = float(gradient_norm)
        self.spoilt = bool(highest(trainer, (~finite).float()))

    @torch.no_grad()
    def take_back(self, module: LightningModule) -> None:
        """Clear the gradients and put back what the forward passes changed."""
        for parameter in module.parameters():
            parameter.grad = None
        for name, tensor in _changed_by_forward(module).items():
            tensor.copy_(self._before[name])

    def described(self, trainer: Trainer) -> list[dict[str, Any]]:
        """The step's batches of all processes; every process must ask.

        Returns:
            Each batch's process, part of the step, keys of its clips and names of the values that are not finite.
        """
        own = [
            {
                "process": trainer.global_rank,
                "part": number,
                "keys": list(part.keys),
                "not_finite": [
                    name for name, finite in zip(part.names, part.finite.tolist(), strict=True) if not finite
                ],
            }
            for number, part in enumerate(self.parts)
        ]
        if trainer.world_size == 1:
            return own
        everywhere: list[Any] = [None] * trainer.world_size
        torch.distributed.all_gather_object(everywhere, own)
        return [described for each in everywhere for described in each]


def watch_of(module: LightningModule) -> StepWatch:
    """The watch of a `dvface.training.stage.Stage`."""
    watch = module.watch
    assert isinstance(watch, StepWatch)
    return watch


class FiniteGuard(Callback):
    """Counts and records the steps that were taken back, and ends training when too many follow each other.

    The counts are part of the checkpoint, so a resumed stage counts on. `LastCheckpoint` must come after this one.

    Args:
        limit: so many spoilt steps in a row end training.
        record: a JSON Lines file, one line a spoilt step; of two lines of one step the later counts.
    """

    def __init__(self, limit: int, record: Path) -> None:
        self.limit = limit
        self.record = record
        self.skipped = 0
        self.in_a_row = 0

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the step that has just ended.

        Raises:
            UserError: on every process, when the last ``limit`` steps were all spoilt.
        """
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        watch = watch_of(module)
        self.in_a_row = self.in_a_row + 1 if watch.spoilt else 0
        self.skipped += watch.spoilt
        module.log("train/skipped_steps", float(self.skipped), logger=False)
        if watch.spoilt:
            batches = watch.described(trainer)
            if trainer.is_global_zero:
                self._tell(trainer.global_step, watch.gradient_norm, batches)
            if self.in_a_row >= self.limit:
                raise UserError(self._complaint(trainer, batches))

    def _tell(self, step: int, gradient_norm: float, batches: list[dict[str, Any]]) -> None:
        line = {"step": step, "gradient_norm": str(gradient_norm), "batches": batches}
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with open(self.record, "a", encoding="utf-8") as file:
            file.write("\n" + json.dumps(line))  # the newline first: a line cut short spoils no other
        print(
            f"{self.record.parent.name}: step {step} is not finite and was skipped, {self.in_a_row} in a row "
            f"(clips {_named(batches)}); see {self.record}",
            file=sys.stderr,
        )

    def _complaint(self, trainer: Trainer, batches: list[dict[str, Any]]) -> str:
        last = next((one for one in trainer.checkpoint_callbacks if isinstance(one, LastCheckpoint)), None)
        kept = f"{last.path} of step {last.saved_step}" if last and last.saved_step else "none, no step was kept yet"
        return (
            f"{self.record.parent.name}: {self.in_a_row} steps in a row, the last one step {trainer.global_step}, were "
            f"not finite (clips {_named(batches)}; all of them in {self.record}); look at these clips or lower "
            f"stages.{self.record.parent.name}.module.learning_rate; the last good checkpoint is {kept}"
        )

    def state_dict(self) -> dict[str, Any]:
        """The counts."""
        return {"skipped": self.skipped, "in_a_row": self.in_a_row}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Count on from a checkpoint."""
        self.skipped = state_dict["skipped"]
        self.in_a_row = state_dict["in_a_row"]


def _changed_by_forward(module: LightningModule) -> dict[str, Tensor]:
    """Persistent buffers, and the parameters that quantizers place on features."""
    kept = module.state_dict(keep_vars=True)
    changed = {name: buffer for name, buffer in module.named_buffers() if name in kept}
    for prefix, part in module.named_modules():
        if isinstance(part, Quantizer):
            changed |= {f"{prefix}.{name}": each for name, each in part.named_parameters() if each.requires_grad}
    return changed


def _named(batches: list[dict[str, Any]]) -> str:
    """A few clips of the batches at fault: those with a loss that is not finite, or all where only gradients are."""
    faulty = [each for each in batches if "loss" in each["not_finite"]] or batches
    keys = list(dict.fromkeys(key for each in faulty for key in each["keys"]))
    return ", ".join(keys[:NAMED_CLIPS]) + (", …" if len(keys) > NAMED_CLIPS else "")
