"""Where the time of a stage's steps goes, part by part."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import Profiler

from dvface.data.datamodule import ClipDataModule
from dvface.files import write_json
from dvface.losses.weighted import WeightedLosses
from dvface.models.priors.prior import Prior
from dvface.report.tables import Column, Table
from dvface.training.clip_time import clip_time
from dvface.training.part_clock import PartClock, Watches
from dvface.training.profile_hints import (
    BACKBONE,
    BACKWARD,
    CHECKPOINTS,
    DECODING,
    ENCODING,
    FORWARD,
    LOSS,
    MOVING,
    OPTIMISER,
    PRIOR,
    REFINEMENT,
    REST,
    VALIDATION,
    WAITING,
    hint,
)
from dvface.training.stage import Stage

WARM_UP = 3
"""Steps that are left out: they pay for imports, for choosing kernels and for compiling."""
CLIPS = 4
"""Training clips that are made once more to see what they take."""
ACTIONS = {
    ".train_dataloader_next": WAITING,
    ".batch_to_device": MOVING,
    ".training_step": FORWARD,
    ".backward": BACKWARD,
    ".optimizer_step": OPTIMISER,
    ".optimizer_zero_grad": OPTIMISER,
    "save_checkpoint": CHECKPOINTS,
}
"""The parts that Lightning tells of by itself, by the end of its names for them."""

SHARE = Column("%", form=".1f")


class PartsProfiler(Profiler):
    """Books what Lightning tells its profiler.

    Args:
        clock: where it is booked.
        inner: the profiler that the trainer had before, which hears everything too.
    """

    def __init__(self, clock: PartClock, inner: Profiler) -> None:
        super().__init__()
        self.clock = clock
        self.inner = inner

    def start(self, action_name: str) -> None:
        """Lightning begins something."""
        self.inner.start(action_name)
        if part := _part(action_name):
            self.clock.enter(part, closed=part == CHECKPOINTS)

    def stop(self, action_name: str) -> None:
        """Lightning has ended something."""
        if _part(action_name):
            self.clock.leave()
        self.inner.stop(action_name)


class ProfileCallback(Callback):
    """Says at the end of a stage what its steps spent their time on, and what to do about the slowest part.

    Every moment between the end of the third step and the end of the stage is booked to one part, the innermost
    that is at work; validation and checkpoints are booked whole. On a GPU the clock waits at every border for what
    was begun, which takes time itself: profiled training is slower, with the same numbers.

    Args:
        stage_name: the stage's.
        path: the JSON file for the same numbers; the first process writes it.
        say: prints a line for the user.
    """

    def __init__(self, stage_name: str, path: Path, say: Callable[[str], None]) -> None:
        self.stage_name = stage_name
        self.path = path
        self.say = say
        self._steps = 0
        self._clock = PartClock(REST, settle=lambda: None)
        self._watches = Watches(self._clock)

    def on_train_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Begin to watch."""
        assert isinstance(module, Stage)
        self._steps = 0
        self._clock = PartClock(REST, _settle(module.device))
        self._watches = Watches(self._clock)
        for owner, method, part in _watched(module):
            self._watches.add(owner, method, part)
        self._watches.add(trainer.fit_loop.epoch_loop.val_loop, "run", VALIDATION, closed=True)
        self._watches.replace(trainer, "profiler", PartsProfiler(self._clock, trainer.profiler))  # type: ignore[attr-defined]

    def on_train_batch_end(
        self, trainer: Trainer, module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step; what came before the last step of the warm-up is forgotten."""
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self._steps += 1
            if self._steps == WARM_UP:
                self._clock.restart()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Say and write what was found."""
        self._clock.book()
        self._watches.take_back()
        if not trainer.is_global_zero:
            return
        steps = self._steps - WARM_UP
        if steps < 1:
            self.say(
                f"{self.stage_name}: {self._steps} steps are too few for a profile, of which the first {WARM_UP} are "
                f"left out; raise stages.{self.stage_name}.steps"
            )
            return
        data = trainer.datamodule  # type: ignore[attr-defined]
        assert isinstance(module, Stage)
        self._tell(module, steps, data, clip_time(data, CLIPS))

    def on_exception(self, trainer: Trainer, module: LightningModule, exception: BaseException) -> None:
        """Leave everything as it was."""
        self._watches.take_back()

    def _tell(self, stage: Stage, steps: int, data: ClipDataModule, clip: Mapping[str, float]) -> None:
        total = self._clock.total
        parts = sorted(self._clock.spent.items(), key=lambda item: -item[1].seconds)
        slowest, most = parts[0]
        advice = hint(slowest, self.stage_name, stage, data.workers, clip)
        self.say(f"profile of {self.stage_name}, {steps} steps of {1000 * total / steps:,.0f} ms:")
        self.say(
            Table(
                (Column("part of the step"), SHARE, Column("ms a step", form=",.1f"), Column("calls", form=",")),
                [
                    (part, 100 * spent.seconds / total, 1000 * spent.seconds / steps, spent.calls or None)
                    for part, spent in parts
                ],
            ).text()
        )
        whole = sum(clip.values())
        where = "a worker" if data.workers else "the training process"
        self.say(
            Table(
                (Column(f"one clip in {where}"), SHARE, Column("ms", form=",.1f")),
                [(part, 100 * seconds / whole, 1000 * seconds) for part, seconds in clip.items()],
            ).text()
        )
        self.say(f"slowest: {slowest}, {most.seconds / total:.0%} of the time; {advice}")
        write_json(
            self.path,
            {
                "stage": self.stage_name,
                "steps": steps,
                "left_out_steps": WARM_UP,
                "seconds": total,
                "parts": [{"part": part, "seconds": spent.seconds, "calls": spent.calls} for part, spent in parts],
                "slowest": slowest,
                "hint": advice,
                "workers": data.workers,
                "clip_seconds": dict(clip),
            },
        )


def _part(action: str) -> str | None:
    return next((part for ending, part in ACTIONS.items() if action.endswith(ending)), None)


def _settle(device: torch.device) -> Callable[[], None]:
    """Waits for what was begun on ``device``."""
    if device.type == "cuda":
        return lambda: torch.cuda.synchronize(device)
    return lambda: None


def _watched(stage: Stage) -> Iterator[tuple[Any, str, str]]:
    """What of a stage is watched: object, method, part."""
    model = stage.model
    yield model.autoencoder, "encode", ENCODING
    yield model.autoencoder, "decode", DECODING
    # Around the backbone instead of inside it, where torch.compile would trace the clock.
    yield model, "restore_latents", BACKBONE
    yield model.refinement, "forward", REFINEMENT
    yield from _watched_prior(model.prior, PRIOR)
    own = set(model.modules())
    for name, part in stage.named_children():
        if isinstance(part, WeightedLosses):
            yield from ((term, "parts", f"{LOSS}{term_name}") for term_name, term in part.terms.items())
        elif isinstance(part, Prior) and part not in own:
            yield from _watched_prior(part, f"{PRIOR} ({name})")
        elif part not in own:
            yield part, "forward", name


def _watched_prior(prior: Prior, part: str) -> Iterator[tuple[Any, str, str]]:
    for method in ("forward", "extract", "quantize"):
        yield prior, method, part
    for branch in prior.branches.values():
        yield branch, "score", part
