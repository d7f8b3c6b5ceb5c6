"""Lightning's trainer as this project uses it: quiet, with our own bar, records and checkpoints."""

import logging
import warnings
from collections.abc import Callable

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.plugins.environments import SLURMEnvironment

from dvface.config.build import build
from dvface.config.schema import TrainSettings
from dvface.data.datamodule import ClipDataModule, Source
from dvface.models.restorer import Restorer
from dvface.seeding import derive_seed
from dvface.tracking.run import NoRun, Run
from dvface.training.callbacks import ProgressCallback, WeightsAverage
from dvface.training.checkpoints import BestCheckpoint, LastCheckpoint, WholeFileIO
from dvface.training.codebook_usage import CodebookUsage
from dvface.training.finite import FiniteGuard
from dvface.training.pictures import HeldOutPictures
from dvface.training.profiling import ProfileCallback
from dvface.training.records import RunLogger, StepRecords
from dvface.training.run_folder import RunFolder
from dvface.training.sharded import strategy
from dvface.training.speed import Speed
from dvface.training.stream_watch import StreamWatch


def make_trainer(
    settings: TrainSettings,
    name: str,
    model: Restorer,
    data: ClipDataModule,
    folder: RunFolder,
    run: Run | NoRun,
    say: Callable[[str], None],
) -> Trainer:
    """A Lightning trainer for one stage.

    Args:
        settings: the checked configuration.
        name: the stage's.
        model: the restorer, of which a sharded trainer must know the blocks.
        data: the stage's batches.
        folder: the run's.
        run: where numbers are tracked.
        say: prints a line for the user.
    """
    quieten()
    options = settings.trainer
    steps = settings.stages.of(name).steps
    place = folder.stage(name)
    logger = RunLogger(run, name, folder.curves(name))
    speed = Speed(name, options.log_every, say)
    # Each reads what those before it have taken down; the last checkpoint holds the state of all.
    callbacks: list[Callback] = [
        StreamWatch(data, place / "bad_clips.jsonl", options.log_every, say),
        FiniteGuard(options.non_finite_limit, place / "non_finite.jsonl"),
        StepRecords(logger, options.log_every),
        *([WeightsAverage(options.averaging)] if options.averaging else []),
        CodebookUsage(),
        *build(settings.expected).watch(name, say),
        HeldOutPictures(options.show_every, place / "samples", run, name),
        ProgressCallback(name),
        speed,
        *([ProfileCallback(name, place / "profile.json", say)] if options.profile else []),
        *([BestCheckpoint(folder.best(name))] if options.keep_best else []),
        LastCheckpoint(folder.checkpoint(name), options.checkpoint_every),
    ]
    return Trainer(
        accelerator=options.accelerator,
        devices=options.devices,
        num_nodes=options.nodes,
        strategy=strategy(options, model),
        precision=options.precision,
        max_steps=steps,
        gradient_clip_val=options.gradient_clip,
        accumulate_grad_batches=options.accumulate,
        log_every_n_steps=options.log_every,
        val_check_interval=min(options.validate_every, steps) * options.accumulate,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        use_distributed_sampler=False,  # held-out clips are dealt without doubles by ourselves
        enable_progress_bar=False,
        enable_checkpointing=True,
        enable_model_summary=False,
        logger=logger,
        profiler=speed.watch,
        # A job that is told to end is queued again by its own script, once the stage is saved.
        plugins=[WholeFileIO(), *([SLURMEnvironment(auto_requeue=False)] if SLURMEnvironment.detect() else [])],
        default_root_dir=place,
        callbacks=callbacks,
    )


def make_data(settings: TrainSettings, name: str, model: Restorer, source: Source) -> ClipDataModule:
    """The batches of one stage."""
    spec = settings.stages.of(name)
    return ClipDataModule(
        source=source,
        cache=build(settings.data.cache),
        degradation=build(spec.degradation),
        frames=spec.frames,
        crop=spec.crop,
        context=settings.data.context,
        batch_size=spec.batch_size,
        workers=settings.data.workers,
        start_method=settings.data.start_method,
        prefetch=settings.data.prefetch,
        buffer=settings.data.buffer,
        seed=derive_seed(settings.seed, "data", name),
        tolerate=settings.data.tolerate,
        multiple=model.spatial_multiple,
        temporal_stride=model.temporal_stride,
        accumulate=settings.trainer.accumulate,
        overfit=settings.trainer.overfit,
    )


def quieten() -> None:
    """Silence advertisements and advice that a user of this project cannot act on."""
    for logger in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(logger).setLevel(logging.ERROR)
    for message in (
        ".*does not have many workers.*",
        ".*Checkpoint directory.*exists and is not empty.*",
        ".*LeafSpec.*",
        ".*not resumable.*",
        ".*in eval mode at the start of training.*",
        ".*overridden `transfer_batch_to_device`.*",
        ".*pin_memory.*",
        ".*sync_dist=True.*",
        ".*persistent_workers.*",
    ):
        warnings.filterwarnings("ignore", message=message)
