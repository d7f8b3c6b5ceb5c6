"""Several measures at once; one that cannot be had is left out by name, never replaced."""

import math
from collections.abc import Callable, Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from dvface.errors import UserError
from dvface.metrics.base import ClipMetric, MeanMetric, in_segments
from dvface.metrics.segment import Segment
from dvface.weights import WeightsMissing


class MetricSuite(nn.Module):
    """Builds measures and feeds all of them the same clips.

    Args:
        metrics: name of a measure -> what builds it.

    Attributes:
        metrics: the measures that could be built.
        left_out: measure -> why it has no value: its network is missing or, after `compute`, no clip gave it.
        skipped: measure -> clips its mean leaves out for want of an answer, where any; filled by `compute`.

    Raises:
        UserError: a measure is listed under a name that is not its own.
    """

    def __init__(self, metrics: Mapping[str, Callable[[], ClipMetric]]) -> None:
        super().__init__()
        self.metrics: dict[str, ClipMetric] = {}
        self._missing: dict[str, str] = {}
        for name, build in metrics.items():
            try:
                metric = build()
            except WeightsMissing as missing:
                self._missing[name] = str(missing)
                continue
            if metric.name != name:
                raise UserError(f"metrics.{name} is the measure {metric.name}; list it under that name")
            self.metrics[name] = metric
        self.left_out = dict(self._missing)
        self.skipped: dict[str, int] = {}
        # registered once more as submodules, so that .to(device) reaches states and networks
        self._registered = nn.ModuleList(self.metrics.values())

    @property
    def networks(self) -> dict[str, str | None]:
        """Measure -> file name of the pretrained network behind it, None where there is none."""
        return {name: metric.file_name for name, metric in self.metrics.items()}

    def leave_out(self, name: str, reason: str) -> None:
        """Have the measure ``name`` no more, and say why in `left_out`."""
        del self.metrics[name]
        self._missing[name] = self.left_out[name] = reason

    def look(self, segment: Segment, names: Collection[str]) -> dict[str, Tensor]:
        """The evidence of one segment by measure; a clip's, which `add` takes, is that of its segments in a row.

        Args:
            segment: whose clip's segments come in order.
            names: of the measures that look.
        """
        return {name: self.metrics[name].look(segment) for name in names}

    def add(self, evidence: Mapping[str, Tensor]) -> None:
        """Add one clip by what `look` said of its segments."""
        for name, found in evidence.items():
            self.metrics[name].add(found)

    def of_clip(self, evidence: Mapping[str, Tensor]) -> dict[str, float]:
        """Measure -> one clip's own number; measures of sets alone, and those without an answer, are not in it."""
        numbers = {
            name: float(metric.of_clip(evidence[name]))
            for name, metric in self.metrics.items()
            if isinstance(metric, MeanMetric) and name in evidence
        }
        return {name: number for name, number in numbers.items() if not math.isnan(number)}

    def update(self, restored: Tensor, clean: Tensor | None = None) -> list[dict[str, Tensor]]:
        """Add clips, (B, 3, T, H, W) in [-1, 1]; without ``clean``, only to the measures that need none.

        Returns:
            The evidence of each clip.

        Raises:
            ValueError: the shapes are wrong or differ.
        """
        if restored.ndim != 5 or restored.shape[1] != 3 or (clean is not None and clean.shape != restored.shape):
            found = clean if clean is None else tuple(clean.shape)
            raise ValueError(f"clips must be (B, 3, T, H, W) twice, got {tuple(restored.shape)} and {found}")
        looking = [name for name, metric in self.metrics.items() if clean is not None or not metric.needs_clean]
        seen = [joined([self.look(segment, looking) for segment in clip]) for clip in in_segments(restored, clean)]
        for evidence in seen:
            self.add(evidence)
        return seen

    def compute(self) -> dict[str, float]:
        """Measure -> mean over all clips of all processes; one without a value goes to ``left_out`` instead.

        With several processes, all must call this.
        """
        means: dict[str, float] = {}
        self.left_out = dict(self._missing)
        self.skipped = {}
        for name, metric in self.metrics.items():
            mean = float(metric.compute())
            with metric.sync_context():
                clips, skipped = int(metric.clips), int(metric.skipped)
            if skipped:
                self.skipped[name] = skipped
            if math.isfinite(mean):
                means[name] = mean
            else:
                self.left_out[name] = _reason(metric, mean, clips, skipped)
        return means

    def reset(self) -> None:
        """Forget all clips."""
        for metric in self.metrics.values():
            metric.reset()


def joined(evidence: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """A clip's evidence by measure from its segments', at least one."""
    return {name: torch.cat([each[name] for each in evidence]) for name in evidence[0]}


def _reason(metric: ClipMetric, mean: float, clips: int, skipped: int) -> str:
    if clips and not math.isnan(mean):
        return "a restored clip holds values that are not finite numbers"
    if clips:
        return "the clips gave fewer than two samples"
    if skipped:
        return f"none of the {skipped} clips gave it an answer"
    return "it was given no clip to compare with a clean one" if metric.needs_clean else "it was given no clip"
