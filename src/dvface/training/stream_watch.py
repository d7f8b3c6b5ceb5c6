"""What becomes of clips that cannot be used, and of the place where the stream stands."""

import json
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from dvface.contracts import BadClip, ClipBatch
from dvface.data.datamodule import ClipDataModule
from dvface.data.stream import too_many
from dvface.errors import UserError
from dvface.files import write_text


class StreamWatch(Callback):
    """Takes down behind every step where the stream stands, and which clips it passed over.

    Bad clips are said once each, written to a file, counted in the record as ``data/bad_clips``; when they are more
    than ``data.tolerate`` allows, training stops. Several processes tell each other at every record of the loss.

    Args:
        data: whose stream it is.
        record: a JSON Lines file of bad clips; the first process writes it.
        every: batches after which several processes tell each other.
        say: prints a line for the user.
    """

    def __init__(self, data: ClipDataModule, record: Path, every: int, say: Callable[[str], None]) -> None:
        self.data = data
        self.record = record
        self.every = every
        self.say = say
        self._known: dict[str, str] = {}
        self._fresh: list[BadClip] = []

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Forget the lines that a killed process wrote behind its last checkpoint; they will be written again."""
        if trainer.is_global_zero and self.record.is_file():
            lines = filter(None, self.record.read_text(encoding="utf-8").splitlines())
            write_text(self.record, "".join(f"{line}\n" for line in lines if _key(line) in self._known))

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: ClipBatch, batch_idx: int
    ) -> None:
        """Take down what the batch's note says."""
        self.data.trained_on(batch.note)
        if batch.note:
            self._fresh += batch.note.bad
        alone = trainer.world_size == 1
        if self._fresh if alone else (batch_idx + 1) % self.every == 0:
            self._tell(trainer)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Tell what came after the last record."""
        self._tell(trainer)

    def state_dict(self) -> dict[str, Any]:
        """The bad clips known so far, and those not told yet; every process must ask at once."""
        fresh = [[asdict(clip) for clip in each] for each in self._of_all()]
        return {"known": dict(self._known), "fresh": fresh}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know what an earlier process knew."""
        self._known = dict(state_dict["known"])
        rank = torch.distributed.get_rank() if torch.distributed.is_initialized() else 0
        self._fresh = [BadClip(**clip) for clip in state_dict["fresh"][rank]]

    def _of_all(self) -> list[list[BadClip]]:
        """What each process has not told yet."""
        if not torch.distributed.is_initialized():
            return [self._fresh]
        everywhere: list[list[BadClip]] = [[] for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather_object(everywhere, self._fresh)
        return everywhere

    def _tell(self, trainer: Trainer) -> None:
        everywhere = self._of_all()
        self._fresh = []
        new = {clip.key: clip for found in everywhere for clip in found if clip.key not in self._known}
        if not new:
            return
        self._known |= {clip.key: clip.reason for clip in new.values()}
        if trainer.is_global_zero:
            step = max(0, trainer.global_step - 1)
            self._write(new.values(), step)
            if trainer.logger:
                trainer.logger.log_metrics({"data/bad_clips": float(len(self._known))}, step)
        allowed = self.data.tolerate * self.data.clips
        if len(self._known) > allowed:
            raise UserError(too_many(len(self._known), allowed, list(new.values())[-1]))

    def _write(self, clips: Iterable[BadClip], step: int) -> None:
        self.record.parent.mkdir(parents=True, exist_ok=True)
        with open(self.record, "a", encoding="utf-8") as file:
            for clip in clips:
                self.say(f"left out: {clip.reason}")
                file.write(json.dumps({"step": step, **asdict(clip)}, ensure_ascii=False) + "\n")


def _key(line: str) -> str | None:
    """The clip that a line tells of; None for one that was cut short."""
    try:
        return str(json.loads(line)["key"])
    except json.JSONDecodeError:
        return None
