"""Where a run keeps its files, and how they are read back; torch is imported where tensors are read alone."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout
from omegaconf import DictConfig, OmegaConf
from safetensors import SafetensorError
from yaml import YAMLError

from dvface.errors import UserError
from dvface.files import write_json

if TYPE_CHECKING:
    from torch import Tensor

PATIENCE = 10.0
"""Seconds that a killed run's loader workers may take to notice and let go of its folder."""


@dataclass(frozen=True)
class RunFolder:
    """Where a run keeps its files."""

    path: Path

    @property
    def config(self) -> Path:
        """The composed configuration; a resumed run reads it back."""
        return self.path / "config.yaml"

    @property
    def state(self) -> Path:
        """What a resumed run must know, see `RunState`."""
        return self.path / "run.json"

    @property
    def model(self) -> Path:
        """The trained model, as `Restorer.from_pretrained` opens it."""
        return self.path / "model"

    @property
    def metrics(self) -> Path:
        """The measures of a finished run."""
        return self.path / "metrics.json"

    def fault(self, process: int) -> Path:
        """Where a process other than the first leaves a sentence on what went wrong for it."""
        return self.path / f"fault-{process}.txt"

    def faults(self) -> list[Path]:
        """What was left so."""
        return sorted(self.path.glob("fault-*.txt"))

    def stage(self, name: str) -> Path:
        """What belongs to one stage."""
        return self.path / "stages" / name

    def weights(self, stage: str) -> Path:
        """What a finished stage left; the next one starts from it."""
        return self.stage(stage) / "weights.safetensors"

    def checkpoint(self, stage: str) -> Path:
        """Where an unfinished stage stands."""
        return self.stage(stage) / "last.ckpt"

    def best(self, stage: str) -> Path:
        """Where the stage stood when its held-out loss was lowest."""
        return self.stage(stage) / "best.ckpt"

    def curves(self, stage: str) -> Path:
        """The numbers that a stage logged."""
        return self.stage(stage) / "curves.jsonl"


@dataclass(frozen=True)
class RunState:
    """What a resumed run must know.

    Attributes:
        tracking_run: id of the run in the tracking store.
        seconds: spent so far.
        finished: whether it is finished.
        source: SHA-256 of the code that it was started with.
    """

    tracking_run: str
    seconds: float
    finished: bool
    source: str


def write_state(folder: RunFolder, state: RunState) -> None:
    """Remember what a resumed run must know."""
    write_json(folder.state, {**vars(state), "seconds": round(state.seconds, 1)})


def read_state(folder: RunFolder) -> RunState:
    """What `write_state` wrote.

    Raises:
        UserError: the folder is no run folder, or its file is damaged.
    """
    if not folder.state.is_file() or not folder.config.is_file():
        raise UserError(f"{folder.path} is no run folder (no {folder.state.name}); name one that training printed")
    try:
        return RunState(**json.loads(folder.state.read_text(encoding="utf-8")))
    except (json.JSONDecodeError, TypeError) as error:
        raise UserError(f"{folder.state} is damaged; start another run with warm_start={folder.path}") from error


def read_config(folder: RunFolder) -> DictConfig:
    """The configuration that a run was started with, not resolved.

    Raises:
        UserError: it is missing or damaged.
    """
    try:
        tree = OmegaConf.load(folder.config)
    except (YAMLError, OSError) as error:
        raise UserError(f"{folder.config} is missing or damaged; start another run") from error
    if not isinstance(tree, DictConfig) or "model" not in tree:
        raise UserError(f"{folder.config} is damaged; start another run")
    return tree


def read_weights(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file.

    Raises:
        UserError: the file is damaged.
    """
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged ({error}); delete it to train that stage again") from error


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A Lightning checkpoint, plain types and tensors only, mapped rather than read.

    Raises:
        UserError: it is damaged.
    """
    import torch

    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (RuntimeError, OSError, EOFError, pickle.UnpicklingError) as error:
        raise UserError(f"{path} is damaged; delete it to train that stage from its start") from error
    if not isinstance(state, dict) or "state_dict" not in state:
        raise UserError(f"{path} is no training checkpoint; delete it to train that stage from its start")
    return state


def model_tensors(state: dict[str, Any], key: str = "state_dict") -> dict[str, Tensor]:
    """The restorer's own tensors of a checkpoint: a stage also holds its decoder, teacher or discriminator."""
    tensors: dict[str, Tensor] = state[key]
    return {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}


@contextmanager
def held(folder: RunFolder) -> Iterator[None]:
    """Hold a run folder, so that two processes never train in it at once; a killed process lets go of it.

    Raises:
        UserError: another process trains in it.
    """
    lock = FileLock(folder.path / ".lock")
    try:
        lock.acquire(timeout=PATIENCE)
    except Timeout as error:
        raise UserError(
            f"{folder.path} is in the hands of another process; wait for it or give another name"
        ) from error
    try:
        yield
    finally:
        lock.release()


def is_held(folder: RunFolder) -> bool:
    """Whether another process trains in the folder now."""
    try:
        with FileLock(folder.path / ".lock").acquire(timeout=PATIENCE):
            return False
    except Timeout:
        return True
