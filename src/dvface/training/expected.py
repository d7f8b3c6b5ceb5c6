"""Whether a run goes as the same experiment went before."""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Callable, Mapping
from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from dvface.data.sets import draws_sha256
from dvface.data.shards import MANIFEST, read_manifest


class Expected(ABC):
    """What is known of an experiment's held-out losses."""

    @abstractmethod
    def watch(self, stage: str, say: Callable[[str], None]) -> list[Callback]:
        """The callbacks that compare ``stage`` with it and tell the user."""


class NothingExpected(Expected):
    """Nobody has run the experiment before."""

    def watch(self, stage: str, say: Callable[[str], None]) -> list[Callback]:
        """None."""
        return []


class ExpectedCurves(Expected):
    """The held-out losses of a run that went well.

    Args:
        held_out_loss: stage to steps to the loss after so many steps; above 0.
        tolerance: relative difference up to which a run is on track; other seeds and processors differ a little.
        held_out: folder of the held-out set of the run that is watched.
        draws_sha256: of the held-out set on which the losses were measured, see `dvface.data.sets.draws_sha256`; those
            on another set say nothing.

    Raises:
        ValueError: ``tolerance`` or a loss is not above 0.
    """

    def __init__(
        self,
        held_out_loss: Mapping[str, Mapping[int, float]],
        tolerance: float,
        held_out: str,
        draws_sha256: str,
    ) -> None:
        if tolerance <= 0:
            raise ValueError(f"expected.tolerance must be above 0, got {tolerance}")
        if any(loss <= 0 for curve in held_out_loss.values() for loss in curve.values()):
            raise ValueError("expected.held_out_loss must hold losses above 0")
        self.held_out = Path(held_out)
        self.draws_sha256 = draws_sha256
        self.held_out_loss = {stage: dict(sorted(curve.items())) for stage, curve in held_out_loss.items()}
        self.tolerance = tolerance

    def at(self, stage: str, step: int) -> float | None:
        """The loss expected after ``step`` steps, on a straight line between known ones; None beyond them."""
        curve = self.held_out_loss.get(stage, {})
        steps = list(curve)
        right = bisect_left(steps, step)
        if right < len(steps) and steps[right] == step:
            return curve[step]
        if not 0 < right < len(steps):
            return None
        before, after = steps[right - 1], steps[right]
        share = (step - before) / (after - before)
        return (1 - share) * curve[before] + share * curve[after]

    def watch(self, stage: str, say: Callable[[str], None]) -> list[Callback]:
        """See the base class."""
        if stage not in self.held_out_loss:
            return []
        if not (self.held_out / MANIFEST).is_file() or draws_sha256(read_manifest(self.held_out)) != self.draws_sha256:
            say(f"{stage}: whether it is on track cannot be said: the held-out set is not the one that is expected")
            return []
        return [_Watch(self, stage, say)]


class _Watch(Callback):
    def __init__(self, expected: ExpectedCurves, stage: str, say: Callable[[str], None]) -> None:
        self.expected = expected
        self.stage = stage
        self.say = say

    def on_validation_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Say how the held-out loss compares; one process speaks for all."""
        expected = self.expected.at(self.stage, trainer.global_step)
        if expected is None or not trainer.is_global_zero:
            return
        loss = float(trainer.callback_metrics["held_out/loss"])
        difference = loss / expected - 1
        judgement = "on track" if abs(difference) <= self.expected.tolerance else f"{difference:+.0%}"
        self.say(f"{self.stage} {trainer.global_step}: held-out loss {loss:.4f}, expected {expected:.4f}: {judgement}")
