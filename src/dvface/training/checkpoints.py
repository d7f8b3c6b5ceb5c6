"""Checkpoints that survive: a full disk, a signal, a process that is told to end."""

import math
import os
import pickle
import signal
import threading
from pathlib import Path
from types import FrameType
from typing import IO, Any, cast

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from dvface.errors import UserError, fault_of_machine
from dvface.files import whole_file

ENDING_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
"""Ctrl-C, the polite end, and the two by which SLURM is usually asked to announce the end of a job."""


class Stopped(SystemExit):
    """A signal asked for the end, and what was trained until then has been saved.

    Args:
        signum: the signal; the process should end with 128 + ``signum``.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)
        self.signum = signum


class WholeFileIO(TorchCheckpointIO):
    """Writes a checkpoint straight to a temporary file, which takes the old one's place once it is whole and on disk.

    Lightning's own makes the whole file in memory first. Plain types and tensors only are read back.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None) -> None:
        """Replace ``path``, or leave it as it is.

        Raises:
            UserError: the disk is full or at fault.
        """
        target = Path(path)
        try:
            with whole_file(target) as temporary, open(temporary, "wb") as file:
                _save(checkpoint, file)
        except OSError as error:
            if not fault_of_machine(error):
                raise
            raise UserError(
                f"{target} cannot be written ({error.strerror}); {_untouched(target)}; make room on that disk and "
                "start the run again with the same words, it goes on from its last checkpoint"
            ) from error

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """See the base class; nothing but plain types and tensors is taken, whatever is asked."""
        return super().load_checkpoint(path, map_location, weights_only=True)


class _Remembering:
    """A file that remembers why writing failed, since torch only says that it did."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file = file
        self.error: OSError | None = None

    def write(self, data: Any) -> int:
        try:
            return self.file.write(data)
        except OSError as error:
            self.error = error
            raise

    def flush(self) -> None:
        self.file.flush()


def _save(checkpoint: dict[str, Any], file: IO[bytes]) -> None:
    remembering = _Remembering(file)
    try:
        torch.save(checkpoint, cast(IO[bytes], remembering))
    except RuntimeError as error:
        raise remembering.error or error from None
    file.flush()
    os.fsync(file.fileno())


def _untouched(path: Path) -> str:
    """What a failed attempt left in place."""
    if not path.is_file():
        return "there was none of that name before"
    try:
        step = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["global_step"]
    except (RuntimeError, OSError, EOFError, KeyError, pickle.UnpicklingError):
        return "what was there before is untouched"
    return f"the one of step {step} that was there before is untouched"


def save_together(trainer: Trainer, path: Path) -> None:
    """Save a checkpoint; every process must ask, one writes.

    Raises:
        UserError: it cannot be written; on every process, so that none waits for one that has ended.
    """
    problem = ""
    try:
        trainer.save_checkpoint(path)
    except UserError as error:
        # Only the process that writes comes here; the others wait at the barrier behind the writing.
        problem = str(error)
        trainer.strategy.barrier()
    problem = trainer.strategy.broadcast(problem)
    if problem:
        raise UserError(problem)


def highest(trainer: Trainer, value: Tensor) -> Tensor:
    """The highest of all processes' values; every process must ask. A scalar in, a scalar out."""
    if trainer.world_size > 1:
        torch.distributed.all_reduce(value, op=torch.distributed.ReduceOp.MAX)
    return value


class LastCheckpoint(Checkpoint):
    """One file that says where an unfinished stage stands, and where a finished one stood at its end.

    It is also written before each validation, and when a signal asks for the end: `ENDING_SIGNALS` then only raise a
    flag, and at the end of the step all processes agree, save together and raise `Stopped`, so that a signal to any
    one of them is enough. A second Ctrl-C ends at once. A validation that was cut short is done again by the resumed
    stage before it trains on.

    Signals are heard in the main thread while the stage trains. Loader workers must ignore them.

    Args:
        path: replaced only when the new one is whole.
        every: steps between two.

    Attributes:
        saved_step: the step of the file; 0 while there is none.
    """

    def __init__(self, path: Path, every: int) -> None:
        self.path = path
        self.every = every
        self.saved_step = 0
        self._signum = 0
        self._validation_due = False
        self._handlers: dict[int, Any] = {}

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Hear signals from here on; a validation that the checkpoint was written before comes first."""
        self.saved_step = trainer.global_step
        self._signum = 0
        if threading.current_thread() is threading.main_thread():
            self._handlers = {signum: signal.signal(signum, self._hear) for signum in ENDING_SIGNALS}
        if self._validation_due:
            validation = trainer.fit_loop.epoch_loop.val_loop
            validation.restarting = False  # else it would go on behind the clips of the validation before it
            trainer.validating = True
            validation.run()
            trainer.training = True

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save where a step has just ended.

        Raises:
            Stopped: some process was told to end.
        """
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        interval = trainer.val_check_batch or math.inf
        self._validation_due = trainer.enable_validation and (batch_idx + 1) % interval == 0
        if self._validation_due and self._at_end(trainer):
            return  # nothing would be left to resume: `on_validation_end` saves
        signum = self._agreed(trainer)
        if signum or self._validation_due or self._at_end(trainer) or trainer.global_step % self.every == 0:
            self._save(trainer)
        if signum:
            raise Stopped(signum)

    def on_validation_batch_end(self, trainer: Trainer, *rest: Any) -> None:
        """End in the middle of a validation: what was trained is saved already.

        Raises:
            Stopped: some process was told to end.
        """
        if not self._at_end(trainer) and (signum := self._agreed(trainer)):
            raise Stopped(signum)

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save where the last step's validation has ended.

        Raises:
            Stopped: some process was told to end.
        """
        self._validation_due = False
        if not self._at_end(trainer):
            return
        self._save(trainer)
        if signum := self._agreed(trainer):
            raise Stopped(signum)

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Signals do again what they did before."""
        self._restore_handlers()

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Signals do again what they did before."""
        self._restore_handlers()

    def state_dict(self) -> dict[str, Any]:
        """Whether the checkpoint was written before a validation."""
        return {"validation_due": self._validation_due}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Know what `state_dict` said; a checkpoint from elsewhere may say nothing."""
        self._validation_due = state_dict.get("validation_due", False)

    @staticmethod
    def _at_end(trainer: Trainer) -> bool:
        return trainer.global_step >= trainer.max_steps

    def _save(self, trainer: Trainer) -> None:
        save_together(trainer, self.path)
        self.saved_step = trainer.global_step

    def _agreed(self, trainer: Trainer) -> int:
        """The signal that any process has heard; 0 for none."""
        if trainer.world_size == 1:
            return self._signum
        return int(highest(trainer, torch.tensor(self._signum, device=trainer.strategy.root_device)))

    def _hear(self, signum: int, frame: FrameType | None) -> None:
        self._signum = signum
        if signum == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.default_int_handler)
            # Not print(): the signal may have come in the middle of one.
            os.write(2, b"\nsaving at the end of this step, then stopping; Ctrl-C again ends at once\n")

    def _restore_handlers(self) -> None:
        for signum, handler in self._handlers.items():
            signal.signal(signum, signal.SIG_DFL if handler is None else handler)  # None: set by no Python code
        self._handlers = {}


class BestCheckpoint(Checkpoint):
    """Keeps the checkpoint of the validation with the lowest measure; put it before `LastCheckpoint`.

    What was lowest is part of every checkpoint, so a resumed stage does not forget it.

    Args:
        path: replaced only when the new one is whole.
        measure: the number of each validation, the same on all processes, that should be low.

    Attributes:
        lowest: so far; infinite before the first validation.
        step: of the lowest.
    """

    def __init__(self, path: Path, measure: str = "held_out/loss") -> None:
        self.path = path
        self.measure = measure
        self.lowest = math.inf
        self.step = 0

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Save if this validation is the best one; one that is not finite never is."""
        value = float(trainer.callback_metrics[self.measure])
        if value < self.lowest:
            self.lowest, self.step = value, trainer.global_step
            save_together(trainer, self.path)

    def state_dict(self) -> dict[str, Any]:
        """The lowest measure and its step."""
        return {"lowest": self.lowest, "step": self.step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what was lowest."""
        self.lowest, self.step = state_dict["lowest"], state_dict["step"]
