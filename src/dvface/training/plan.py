"""The dry run: what a training would do and cost, said before anything is trained."""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from dvface.config.build import build
from dvface.config.schema import TrainerSettings, TrainSettings
from dvface.contracts import ClipBatch
from dvface.data.datamodule import Source
from dvface.data.sets import TrainingSet
from dvface.data.stream import LoadedBatch
from dvface.models.restorer import Restorer
from dvface.report.tables import Cell, Column, Table
from dvface.training.cost import holdings, operations
from dvface.training.launch import processes
from dvface.training.stage import Stage
from dvface.training.trainer import make_data

COLUMNS = (
    Column("stage"),
    Column("steps", form=","),
    Column("clips a step", form=","),
    Column("frames × pixels"),
    Column("each clip seen"),
    Column("learns, M", form=",.3f"),
    Column("of, M", form=",.3f"),
    Column("TFLOP a step", form=",.3f"),
    Column("memory, GB", form=",.3f"),
    Column("disk, GB", form=",.3f"),
)


@dataclass(frozen=True)
class Loading:
    """What loading one batch showed.

    Attributes:
        batch: the batch.
        seconds: a clip took from the shard to the batch, in one process.
        processor_seconds: of all its threads.
    """

    batch: ClipBatch
    seconds: float
    processor_seconds: float


def plan(settings: TrainSettings, model: Restorer, say: Callable[[str], None]) -> None:
    """Say what the configured training would do and cost; train nothing and write nothing.

    The stages are built and run on the meta device; then one batch of every kind is really loaded.

    Args:
        settings: the checked configuration, of which every part has been found to fit.
        model: the restorer on the meta device.
        say: prints a line for the user.

    Raises:
        UserError: too many clips cannot be used.
        WeightsMissing: a loss needs a network that is not at hand.
    """
    source: Source = build(settings.data.source)
    sets = source.training()
    say(_heading(settings, sets))
    rows, remarks = [], []
    model.backbone.gradient_checkpointing = settings.trainer.gradient_checkpointing
    for name in settings.chosen_stages:
        row, remark = _row(settings, name, model, sets)
        rows.append(row)
        remarks += remark
    say(Table(COLUMNS, rows).text())
    for line in (*_legend(settings.trainer), *remarks):
        say(line)
    for names in _kinds(settings):
        for line in _loading_lines(settings, names, load_batch(settings, names[0], model, source)):
            say(line)
    say("nothing was trained; to train, say the same words without trainer=dry-run and trainer.dry_run=true")


def load_batch(settings: TrainSettings, name: str, model: Restorer, source: Source) -> Loading:
    """Really load a stage's first batch, in this process.

    Raises:
        UserError: too many clips cannot be used.
    """
    here = settings.data.model_copy(update={"workers": 0})
    data = make_data(settings.model_copy(update={"data": here}), name, model, source)
    next(iter(data.stream()))  # the first clip pays for imports
    began, busy = time.perf_counter(), time.process_time()
    loaded: LoadedBatch = next(iter(data.train_dataloader()))
    seconds, processor_seconds = time.perf_counter() - began, time.process_time() - busy
    clips = len(loaded.keys)
    return Loading(loaded.finished(), seconds / clips, processor_seconds / clips)


def _heading(settings: TrainSettings, sets: Sequence[TrainingSet]) -> str:
    options = settings.trainer
    count = processes(options)
    who = f"{count} processes ({options.strategy})" if count > 1 else "1 process"
    clips = ", ".join(f"{len(one.entries)} clips in {one.address}" for one in sets)
    return (
        f"plan of exp={settings.exp}, {who} on {options.accelerator}, precision {options.precision}; "
        f"training clips: {clips}"
    )


def _row(
    settings: TrainSettings, name: str, model: Restorer, sets: Sequence[TrainingSet]
) -> tuple[list[Cell], list[str]]:
    """The stage's row, and what the user should know of it besides."""
    spec, options = settings.stages.of(name), settings.trainer
    stage: Stage = build(spec.module)(model=model)
    held = holdings(stage, options, processes(options))
    batches = options.accumulate * processes(options)
    teraflops: float | None
    remarks = []
    try:
        flops = sum(
            share * operations(stage, spec.batch_size, frames, spec.crop)
            for frames, share in _lengths(sets, spec.frames).items()
        )
        teraflops = batches * flops / 1e12
    except RuntimeError as error:  # what the meta device cannot run is known by no other sign
        teraflops = None
        remarks.append(f"{name}: its operations cannot be counted without pixels ({str(error).splitlines()[0]})")
    row: list[Cell] = [
        name,
        spec.steps,
        batches * spec.batch_size,
        f"{spec.frames} × {spec.crop}²",
        _seen(sets, spec.steps * batches * spec.batch_size) if not options.overfit else "one batch only",
        held.learning / 1e6,
        held.parameters / 1e6,
        teraflops,
        held.memory / 1e9,
        (held.checkpoint * (2 if options.keep_best else 1) + held.weights) / 1e9,
    ]
    return row, remarks


def _lengths(sets: Sequence[TrainingSet], frames: int) -> dict[int, float]:
    """T of the batches, and what share of them has it."""
    total = sum(one.weight for one in sets)
    lengths: dict[int, float] = {}
    for one in sets:
        length = one.frames or frames
        lengths[length] = lengths.get(length, 0.0) + one.weight / total
    return lengths


def _seen(sets: Sequence[TrainingSet], clips: int) -> str:
    """How often each clip of each set is seen while ``clips`` clips are."""
    total = sum(one.weight for one in sets)
    times = [(one.name, clips * one.weight / total / len(one.entries)) for one in sets]
    return ", ".join(f"{name} {count:.1f}".strip() for name, count in times)


def _legend(options: TrainerSettings) -> list[str]:
    """What the columns count."""
    average = " and the moving average" if options.averaging else ""
    both = "the last and the best checkpoint" if options.keep_best else "the last checkpoint"
    return [
        "TFLOP: matrix products, convolutions and attention of a step's losses and their backward pass in all "
        "processes, two operations a multiply-add; codebooks' own upkeep and the optimiser are not in",
        f"memory: weights, gradients, AdamW's moments{average} in each process; activations come on top",
        f"disk: {both} and the weights that the stage leaves",
    ]


def _kinds(settings: TrainSettings) -> list[list[str]]:
    """The names of the stages, those together whose clips are made alike."""
    alike: dict[str, list[str]] = {}
    for name in settings.chosen_stages:
        spec = settings.stages.of(name)
        alike.setdefault(json.dumps([spec.degradation, spec.frames, spec.crop], sort_keys=True), []).append(name)
    return list(alike.values())


def _loading_lines(settings: TrainSettings, names: Sequence[str], loading: Loading) -> list[str]:
    """What loading a batch showed, and what follows from it for the pace."""
    batch = loading.batch
    frames, height, width = batch.clean.shape[2:]
    lines = [
        f"{', '.join(names)}: a clip of {frames} × {height} × {width} took {loading.seconds:.3f} s to load, "
        f"{loading.processor_seconds:.3f} s of a processor",
        f"  a batch: {', '.join(batch.keys)}; pixels {_range(batch.clean)} clean, {_range(batch.degraded)} degraded",
    ]
    workers = settings.data.workers
    least = loading.seconds * settings.trainer.accumulate / max(1, workers)
    steps = ", ".join(f"{name} {least * settings.stages.of(name).batch_size:.2f} s" for name in names)
    if workers:
        what = "on average no step can be shorter (with a core for each worker of each process)"
    else:
        what = "every step waits so long for its clips"
    lines.append(f"  data.workers={workers}: {what}: {steps}")
    return lines + [f"  left out: {bad.reason}" for bad in (batch.note.bad if batch.note else ())]


def _range(video: Tensor) -> str:
    return f"{float(video.min()):.2f} to {float(video.max()):.2f}"
