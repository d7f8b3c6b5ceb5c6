"""One command trains the stages that an experiment names, one after another, and can continue where it was."""

from __future__ import annotations

import signal
from collections.abc import Callable

import torch
from lightning.pytorch import seed_everything
from safetensors.torch import save_file

from dvface.config.build import build
from dvface.config.schema import STAGES, TrainSettings
from dvface.data.datamodule import Source
from dvface.files import whole_file
from dvface.models.restorer import Restorer
from dvface.report.curves import plot_curves
from dvface.seeding import derive_seed
from dvface.tracking.run import NoRun, Run
from dvface.training.beginnings import load_beginning
from dvface.training.checkpoints import Stopped
from dvface.training.curves import read_curves
from dvface.training.records import RunLogger
from dvface.training.run_folder import RunFolder, read_checkpoint, read_weights
from dvface.training.sharded import full_state
from dvface.training.stage import Stage
from dvface.training.trainer import make_data, make_trainer

NO_LOSSES = ("gradient_norm", "skipped_steps", "perplexity", "usage", "entries", "accuracy")
"""Words in the names of numbers that the picture of the losses leaves out: they have other scales."""


class Chain:
    """Trains the stages of one run.

    Args:
        settings: the checked configuration.
        folder: the run's folder.
        run: where numbers are tracked.
        say: prints a line for the user.
    """

    def __init__(
        self, settings: TrainSettings, folder: RunFolder, run: Run | NoRun, say: Callable[[str], None] = print
    ) -> None:
        self.settings = settings
        self.folder = folder
        self.run = run
        self.say = say

    def train(self) -> Restorer:
        """Train what is not trained yet; returns the model with the last stage's weights.

        Where several processes train, each runs the whole chain and the first one writes.
        """
        settings = self.settings
        model = self._build()
        source: Source = build(settings.data.source)
        first = settings.chosen_stages[0]
        if not (self.folder.weights(first).is_file() or self.folder.checkpoint(first).is_file()):
            build(settings.pretrained).load(model)
            load_beginning(settings, model, self.say)
        for name in settings.chosen_stages:
            if not self.folder.weights(name).is_file():
                self._train_stage(name, model, source)
                if settings.trainer.strategy == "fsdp":
                    model = self._build()  # the one that was trained lies in pieces
            model.load_state_dict(read_weights(self.folder.weights(name)))
        if settings.chosen_stages[-1] == STAGES[-1] and first_process():
            model.save_pretrained(self.folder.model, settings.model)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # measuring is one process's work
        return model.eval()

    def _build(self) -> Restorer:
        options = self.settings.trainer
        model: Restorer = build(self.settings.model, seed=derive_seed(self.settings.seed, "model"))
        if options.compile:
            model.backbone.compile()  # in place: the weights keep their names
        model.backbone.gradient_checkpointing = options.gradient_checkpointing
        return model

    def _train_stage(self, name: str, model: Restorer, source: Source) -> None:
        settings = self.settings
        spec = settings.stages.of(name)
        seed_everything(derive_seed(settings.seed, "stage", name) % 2**32, verbose=False)
        stage: Stage = build(spec.module)(model=model)
        data = make_data(settings, name, model, source)
        checkpoint = self.folder.checkpoint(name)
        trainer = make_trainer(settings, name, model, data, self.folder, self.run, self.say)
        resume, done = None, 0
        if checkpoint.is_file():
            resume, done = str(checkpoint), int(read_checkpoint(checkpoint)["global_step"])
        if isinstance(trainer.logger, RunLogger):
            trainer.logger.go_on(done)
        try:
            trainer.fit(stage, datamodule=data, ckpt_path=resume, weights_only=True)
        except Stopped as stopped:
            if stopped.signum == signal.SIGINT:
                raise KeyboardInterrupt from stopped
            raise
        except SystemExit as ended:
            # Before the first step Lightning turns Ctrl-C into an exit of its own, SIGTERM into a success.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            if trainer.received_sigterm:
                raise SystemExit(128 + signal.SIGTERM) from ended
            if trainer.interrupted:
                raise KeyboardInterrupt from ended
            raise
        state = full_state(trainer.strategy)
        if trainer.is_global_zero:
            own = {key.removeprefix("model."): value for key, value in state.items() if key.startswith("model.")}
            with whole_file(self.folder.weights(name)) as temporary:
                save_file({key: value.contiguous() for key, value in own.items()}, temporary)
            self._plot(name)
        trainer.strategy.barrier()

    def _plot(self, name: str) -> None:
        picture = self.folder.path / f"losses-{name}.png"
        losses = {
            label: points
            for label, points in read_curves(self.folder.curves(name)).items()
            if not label.startswith(("speed/", "data/")) and not any(word in label for word in NO_LOSSES)
        }
        plot_curves(picture, losses, title=f"{self.settings.exp}: {name}")
        self.run.log_artifact(picture)


def first_process() -> bool:
    """Whether this process is the one that writes."""
    return not torch.distributed.is_initialized() or torch.distributed.get_rank() == 0
