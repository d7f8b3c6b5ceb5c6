"""The tables of `dvface benchmark parts=training`: our trainer against a bare PyTorch loop."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch
from torch import Tensor

from dvface.benchmarks.memory import MemoryWatch, can_measure_memory
from dvface.benchmarks.stepping import LAST, WARM, BareLoop, Stepping, measure_steps
from dvface.cli.benchmark import memory_table
from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import check
from dvface.contracts import ClipBatch
from dvface.report.tables import Cell, Column, Table
from dvface.tracking.run import NoRun
from dvface.training.restorer_stage import RestorerStage
from dvface.training.run_folder import RunFolder
from dvface.training.trainer import make_data, make_trainer

STAGE = "restorer"
BATCHES = 4
"""Different batches, used in turn."""
SIZES = ((4, 9, 64), (4, 17, 96))
"""Clips, frames and side of the batches of each measurement: those of ``exp=tiny``, and a step several times longer."""
SMALL = (
    "size.token_dim=32",
    "size.prior_dim=16",
    "size.entries=16",
    "backbone.heads=2",
    "backbone.layers=2",
    "backbone.feed_forward_dim=32",
    "text.dim=8",
    "prior.encoder.channels=[8,8,8]",
    "fusion.spatial.width=16",
    "fusion.spatial.heads=2",
    "refinement.channels=8",
    "refinement.blocks=1",
)
"""Overrides that make a model so small that thousands of steps take a minute."""


class Training:
    """The restorer stage of an experiment with batches in memory, for our trainer and for a bare loop.

    Neither validation nor a checkpoint lies among the steps; all else is as in `dvface train`.

    Args:
        overrides: Hydra overrides of ``conf/train.yaml``.
        steps: how many will be made.
        folder: for footage and what the trainer writes.
    """

    def __init__(self, overrides: Sequence[str], steps: int, folder: Path) -> None:
        own = [
            "logger=none",
            "data.workers=0",
            f"runs={folder}",
            f"stages.{STAGE}.steps={steps}",
            f"trainer.checkpoint_every={steps + 1}",
        ]
        self.settings = check(resolve(load("train", [*overrides, *own])))
        self.folder = folder
        torch.manual_seed(self.settings.seed)
        self.stage, self.rival = self._stage(), self._stage()
        self.rival.load_state_dict(self.stage.state_dict())
        self.data = make_data(self.settings, STAGE, self.stage.model, build(self.settings.data.source))
        self.data.prepare_data()
        self.batches: list[ClipBatch] = [batch.finished() for batch in islice(self.data.train_dataloader(), BATCHES)]

    def _stage(self) -> RestorerStage:
        stage: RestorerStage = build(self.settings.stages.of(STAGE).module)(model=build(self.settings.model))
        stage.train()
        return stage

    def train(self, batches: Iterable[ClipBatch]) -> None:
        """A step a batch, through our trainer."""
        folder = RunFolder(self.folder / "run")
        trainer = make_trainer(
            self.settings, STAGE, self.stage.model, self.data, folder, NoRun(), say=lambda line: None
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*no `val_dataloader`.*")  # on purpose
            trainer.fit(self.stage, train_dataloaders=batches)

    def bare_loop(self) -> BareLoop:
        """The same stage with a model of its own that begins with the same weights."""

        def loss(batch: ClipBatch, step: int) -> Tensor:
            return self.rival.terms(self.rival.model(batch.degraded), batch.clean, step)[0]

        return BareLoop(
            loss,
            self.rival.parameters(),
            self.rival.learning_rate,
            self.rival.warmup_steps,
            self.settings.stages.of(STAGE).steps,
            self.settings.trainer.gradient_clip,
        )

    def difference(self) -> float:
        """The largest between a weight of ours and of the bare loop's."""
        pairs = zip(self.stage.parameters(), self.rival.parameters(), strict=True)
        return max(float((one - other).detach().abs().max()) for one, other in pairs)


def training_tables(overrides: Sequence[str], steps: int, marks: Sequence[int]) -> str:
    """Steps of our trainer against those of a bare loop, and memory over many steps.

    Args:
        overrides: Hydra overrides of ``conf/train.yaml``, such as ``exp=tiny``.
        steps: measured for each of `SIZES`.
        marks: numbers of steps at which memory is looked at, rising.
    """
    rows: list[list[Cell]] = []
    for clips, frames, side in SIZES:
        size = [f"stages.{STAGE}.{key}" for key in (f"batch_size={clips}", f"frames={frames}", f"crop={side}")]
        with TemporaryDirectory() as scratch:
            training = Training([*overrides, *size], WARM + steps + LAST, Path(scratch))
            found = measure_steps(training.train, training.bare_loop(), training.batches, steps)
        rows.append([f"{clips}×{frames}×{side}×{side}", *_row(found), training.difference()])
    columns = [
        Column("batch"),
        Column("ours ms a step", form=".1f"),
        Column("bare ms a step", form=".1f"),
        Column("ratio", form=".3f"),
        Column("quartiles"),
        Column("ratio of sums", form=".3f"),
        Column("difference of weights", form=".1e"),
    ]
    lines = [
        Table(columns, rows).text(),
        f"{STAGE} stage, {steps} steps of each in turn, medians, {torch.get_num_threads()} threads, time of the clock",
    ]
    if can_measure_memory():
        with TemporaryDirectory() as scratch:
            training = Training([*overrides, *SMALL], marks[-1], Path(scratch))
            watch = MemoryWatch(cycle(training.batches), marks)
            training.train(watch)
        lines += ["", memory_table(watch.held, "training a very small model")]
    else:
        lines.append("memory: this system does not tell it; Linux does")
    return "\n".join(lines)


def _row(found: Stepping) -> Iterator[Cell]:
    yield from (1000 * median(found.ours), 1000 * median(found.bare), found.ratio)
    yield "{:.3f}–{:.3f}".format(*found.quartiles)
    yield found.ratio_of_sums
