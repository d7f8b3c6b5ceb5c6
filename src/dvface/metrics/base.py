"""What every measure shares: exact means over clips, on any number of processes."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor
from torchmetrics import Metric

from dvface.metrics.segment import Segment, blocks_of, segments


class ClipMetric(Metric, ABC):
    """A number for a set of clips, each watched segment by segment.

    What a segment says is its evidence, a tensor with one row for each thing measured; a clip's evidence is its
    segments' in a row, and evidence is all that `add` needs, so a clip that was measured once need not be seen again.
    Sums alone are kept, so a result is exact however clips fall on processes, and a process without any clip is no
    special case.

    Attributes:
        name: of the measure, as it is chosen and as tables show it.
        definition: half a sentence: what the number is, its unit and whose definition it follows.
        higher_is_better: which way is up.
        needs_clean: whether the measure compares with the clean clip.
        file_name: of the pretrained network behind the measure, None where there is none.
        files: every pretrained file that was found for it, detectors' too, where it was built from a configuration.
        least_side: pixels that a frame needs along each side; smaller frames have no answer.
    """

    name: str
    definition: str
    higher_is_better: bool
    needs_clean: bool = True
    file_name: str | None = None
    files: tuple[Path, ...] = ()
    least_side: int = 1
    full_state_update = False

    clips: Tensor
    skipped: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("clips", torch.tensor(0), dist_reduce_fx="sum")
        self.add_state("skipped", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, restored: Tensor, clean: Tensor | None = None) -> None:
        """Add clips.

        Args:
            restored: (B, 3, T, H, W) RGB in [-1, 1].
            clean: the same shape; unused, and not needed, where ``needs_clean`` is false.

        Raises:
            ValueError: the shapes are wrong, or a needed clean clip is missing.
        """
        if restored.ndim != 5 or restored.shape[1] != 3:
            raise ValueError(f"{self.name}: clips must be (B, 3, T, H, W), got {tuple(restored.shape)}")
        if self.needs_clean and (clean is None or clean.shape != restored.shape):
            found = clean if clean is None else tuple(clean.shape)
            raise ValueError(f"{self.name}: clean must have the shape {tuple(restored.shape)}, got {found}")
        for clip in in_segments(restored, clean):
            self.add(torch.cat([self.look(segment) for segment in clip]))

    def add(self, evidence: Tensor) -> None:
        """Add one clip by its evidence, whether it was looked at just now or by an earlier process."""
        # torchmetrics keeps these two for `update`, which this may stand in for
        self._update_count += 1
        self._computed = None
        self._add(evidence.to(self.clips.device))

    @abstractmethod
    def look(self, segment: Segment) -> Tensor:
        """The evidence of a segment's own frames."""

    @abstractmethod
    def _add(self, evidence: Tensor) -> None:
        """Add one clip's evidence to the states; without an answer it counts in ``skipped``, else in ``clips``."""

    @abstractmethod
    def compute(self) -> Tensor:
        """The set's number, a scalar; NaN where no clip had an answer."""

    def remark(self, evidence: Tensor) -> str:
        """What must be said of a clip beside its number, from its evidence; empty where there is nothing to say."""
        return ""


class MeanMetric(ClipMetric):
    """The mean over clips of the mean over a clip's frames: frame -> clip -> set, as in this field.

    The evidence is one number a frame, NaN where the measure has no answer (no face, no frame before), which the
    clip's mean leaves out. A clip without any answer is left out and counted in ``skipped``. A frame of the restored
    clip that holds NaN or infinity counts as infinitely bad, so the mean is not finite: it must not go unnoticed.

    Attributes:
        of_pairs: whether a frame is measured with the one before it, so that a clip's first has no number.
    """

    of_pairs: bool = False
    total: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0, dtype=torch.float64), dist_reduce_fx="sum")

    def look(self, segment: Segment) -> Tensor:
        """(count,) a number for each of the segment's own frames."""
        if min(segment.all("restored").shape[-2:]) < self.least_side:
            return segment.restored_like((segment.count,), torch.nan)
        sound = segment.sound_steps if self.of_pairs else segment.sound
        return torch.where(sound, self.per_frame(segment), torch.inf)

    @abstractmethod
    def per_frame(self, segment: Segment) -> Tensor:
        """(count,) a number for each of the segment's own frames, NaN where there is no answer."""

    def _add(self, evidence: Tensor) -> None:
        value = self.of_clip(evidence)
        self.clips += ~value.isnan()
        self.skipped += value.isnan()
        self.total += value.nan_to_num(nan=0.0, posinf=torch.inf)

    def remark(self, evidence: Tensor) -> str:
        """How many frames have no answer, of a measure that should have one for each."""
        missing = int(evidence.isnan().sum())
        if self.least_side > 1 and missing == len(evidence):
            before = ", and one before them" if self.of_pairs else ""
            return f"no frame has an answer; frames need {self.least_side} pixels a side{before}"
        return f"{missing} of {len(evidence)} frames have no answer" if missing and not self.of_pairs else ""

    @staticmethod
    def of_clip(evidence: Tensor) -> Tensor:
        """The mean of the numbers that there are, float64; NaN where there is none."""
        return evidence.double().nanmean()

    def compute(self) -> Tensor:
        """The mean over clips."""
        return self.total / self.clips


class FrameMetric(MeanMetric):
    """A measure of single frames against clean ones."""

    def per_frame(self, segment: Segment) -> Tensor:
        """A few frames at a time."""
        pairs = zip(segment.groups("restored"), segment.groups("clean"), strict=True)
        return torch.cat([self.compare(restored, clean) for restored, clean in pairs])

    @abstractmethod
    def compare(self, restored: Tensor, clean: Tensor) -> Tensor:
        """(N, 3, H, W) twice, in [-1, 1] -> (N,)."""


def in_segments(restored: Tensor, clean: Tensor | None) -> Iterator[Iterator[Segment]]:
    """Clips in memory, (B, 3, T, H, W) twice or without a clean side, each in segments."""
    for number, clip in enumerate(restored):
        yield segments(blocks_of(clip, None if clean is None else clean[number]))
