"""Short runs of the smallest codebook stage, whole and cut."""

from pathlib import Path

import pytest
from tests.conftest import SMALLEST

from dvface.training.callbacks import ProgressCallback
from dvface.training.run import train
from dvface.training.run_folder import RunFolder

STEPS = 4


class PowerCut(Exception):
    """Stands for whatever ends a process."""


class Runs:
    """Runs of the codebook stage, in one folder, on one data set."""

    def __init__(self, root: Path, shards: Path) -> None:
        self.root = root
        self.shards = shards
        self.said: list[str] = []

    def words(self, *changes: str) -> list[str]:
        return [
            *SMALLEST,
            f"runs={self.root}",
            "logger=none",
            "data=shards",
            f"data.source.train={self.shards}",
            f"data.source.held_out={self.shards}",
            "data.workers=0",
            "data.buffer=2",
            "stage=codebook",
            f"stages.codebook.steps={STEPS}",
            "trainer.log_every=1",
            "trainer.checkpoint_every=2",
            *changes,
        ]

    def train(self, *changes: str) -> RunFolder:
        path = train(self.words(*changes), self.said.append)
        assert path is not None
        return RunFolder(path)

    def cut(self, monkeypatch: pytest.MonkeyPatch, *changes: str, after: int = 3) -> RunFolder:
        """A run that ends within its codebook stage."""
        before = set(self.root.glob("*/*/run.json"))
        step_done = ProgressCallback.on_train_batch_end

        def cut(callback: ProgressCallback, trainer, *rest: object) -> None:
            step_done(callback, trainer, *rest)
            if trainer.global_step == after:
                raise PowerCut

        with monkeypatch.context() as patch:
            patch.setattr(ProgressCallback, "on_train_batch_end", cut)
            with pytest.raises(PowerCut):
                self.train(*changes)
        (state,) = set(self.root.glob("*/*/run.json")) - before
        return RunFolder(state.parent)
