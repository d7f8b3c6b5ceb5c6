"""Steps of a trainer against a bare PyTorch loop on the same batches, step by step in turn, in one run."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from math import cos, pi
from statistics import median, quantiles

import torch
from torch import Tensor, nn

from dvface.contracts import ClipBatch

WARM = 5
"""Steps that are not counted on either side: the first pay for memory and threads."""
LAST = 2
"""Steps at the end that are not counted: what the trainer does behind the last one belongs to no step."""


@dataclass(frozen=True)
class Stepping:
    """Seconds of every counted step, on both sides.

    Attributes:
        ours: from one batch to the next, with all that the trainer does in between.
        bare: of the bare loop, on the same batch, right before.
    """

    ours: tuple[float, ...]
    bare: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Median of ours over median of the bare loop's."""
        return median(self.ours) / median(self.bare)

    @property
    def ratio_of_sums(self) -> float:
        """Of all steps together, those with records included; one disturbance can spoil it."""
        return sum(self.ours) / sum(self.bare)

    @property
    def quartiles(self) -> tuple[float, float]:
        """First and third quartile of ours over the bare loop's, step by step."""
        low, _, high = quantiles([one / other for one, other in zip(self.ours, self.bare, strict=True)], n=4)
        return low, high


class BareLoop:
    """The rival: forward, backward, clip, AdamW with warm-up and cosine decay, as one would write them in a script.

    Args:
        loss: a batch and the step, counted from 0, to the scalar to minimise.
        parameters: what learns.
        learning_rate: the peak.
        warmup_steps: steps to reach it.
        steps: of the whole schedule.
        clip: the gradients' norm at most.
    """

    def __init__(
        self,
        loss: Callable[[ClipBatch, int], Tensor],
        parameters: Iterable[nn.Parameter],
        learning_rate: float,
        warmup_steps: int,
        steps: int,
        clip: float,
    ) -> None:
        def factor(step: int) -> float:
            if step < warmup_steps:
                return (step + 1) / warmup_steps
            return 0.5 * (1 + cos(pi * (step - warmup_steps) / max(1, steps - warmup_steps)))

        self.loss = loss
        self.parameters = [parameter for parameter in parameters if parameter.requires_grad]
        self.clip = clip
        self.optimizer = torch.optim.AdamW(self.parameters, lr=learning_rate, betas=(0.9, 0.95), weight_decay=1e-4)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)
        self._step = 0

    def __call__(self, batch: ClipBatch) -> None:
        """One step."""
        loss = self.loss(batch, self._step)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.parameters, self.clip)
        self.optimizer.step()
        self.schedule.step()
        self._step += 1


class InTurn(Iterable[ClipBatch]):
    """Batches for a trainer; whenever it asks for one, the bare loop makes its step on that batch first.

    So both sides meet the same disturbances. What passes between handing out a batch and being asked for the next
    is a step of the trainer: it asks once a step.

    Args:
        bare: makes a step.
        batches: used again and again.
        steps: batches handed out in all.

    Attributes:
        ours: seconds of the trainer's steps, in order.
        theirs: seconds of the bare loop's.
    """

    def __init__(self, bare: Callable[[ClipBatch], None], batches: Sequence[ClipBatch], steps: int) -> None:
        self.bare = bare
        self.batches = batches
        self.steps = steps
        self.ours: list[float] = []
        self.theirs: list[float] = []

    def __iter__(self) -> Iterator[ClipBatch]:
        """The batches."""
        for batch in islice(cycle(self.batches), self.steps):
            started = time.perf_counter()
            self.bare(batch)
            handed = time.perf_counter()
            self.theirs.append(handed - started)
            yield batch
            self.ours.append(time.perf_counter() - handed)


def measure_steps(
    train: Callable[[Iterable[ClipBatch]], None],
    bare: Callable[[ClipBatch], None],
    batches: Sequence[ClipBatch],
    steps: int,
) -> Stepping:
    """Let a trainer and the bare loop make their steps in turn; time is the clock's.

    Args:
        train: trains on all batches that it is given, a step a batch.
        bare: makes a step on a batch.
        batches: used again and again.
        steps: that count.

    Raises:
        ValueError: the trainer has not asked for every batch.
    """
    source = InTurn(bare, batches, WARM + steps + LAST)
    train(source)
    if len(source.ours) < WARM + steps:
        raise ValueError(f"the trainer has made {len(source.ours)} steps, {WARM + steps} are needed")
    counted = slice(WARM, WARM + steps)
    return Stepping(tuple(source.ours[counted]), tuple(source.theirs[counted]))
