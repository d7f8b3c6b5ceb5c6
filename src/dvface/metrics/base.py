"""What every measure shares: exact means over clips, on any number of processes."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor
from torchmetrics import Metric

FRAMES_AT_ONCE = 8  # bounds the memory that feature networks take


class ClipMetric(Metric, ABC):
    """The mean over clips of a number per clip.

    Sums alone are kept, so the mean is exact however clips fall on processes, and a process without any clip
    is no special case. A clip on which the measure has no answer (no face in it, say) is left out and counted
    in ``skipped``. A restored clip that holds NaN or infinity makes the mean NaN: it must not go unnoticed.

    Attributes:
        name: of the measure, with that of the network it is made with.
        higher_is_better: which way is up.
        needs_clean: whether the measure compares with the clean clip.
        file_name: of the pretrained network behind the measure, None where there is none.
        clips: how many clips the mean is over; ``skipped``: how many had no answer. Per process until synced.
    """

    name: str
    higher_is_better: bool
    needs_clean: bool = True
    file_name: str | None = None
    full_state_update = False

    total: Tensor
    clips: Tensor
    skipped: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.add_state("total", torch.tensor(0.0), dist_reduce_fx="sum")
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
        sound = restored.isfinite().flatten(1).all(dim=1)
        values = self.per_clip(restored, restored if clean is None else clean)
        unanswered = values.isnan() & sound
        self.total += torch.where(sound, values, torch.nan)[~unanswered].sum()
        self.clips += (~unanswered).sum()
        self.skipped += unanswered.sum()

    def compute(self) -> Tensor:
        """The mean over clips, a scalar; NaN when no clip had an answer."""
        return self.total / self.clips

    @abstractmethod
    def per_clip(self, restored: Tensor, clean: Tensor) -> Tensor:
        """(B, 3, T, H, W) twice -> (B,), NaN for a clip without an answer.

        Where ``needs_clean`` is false, ``clean`` may be anything and is not looked at.
        """


class FrameMetric(ClipMetric):
    """A measure of single frames: the clip's number is the mean over its frames."""

    def per_clip(self, restored: Tensor, clean: Tensor) -> Tensor:
        """The mean over frames, taken a few frames at a time."""
        batch, _, frames = restored.shape[:3]
        pairs = zip(_as_frames(restored), _as_frames(clean), strict=True)
        values = torch.cat([self.per_frame(one, other) for one, other in pairs])
        return values.view(batch, frames).mean(dim=1)

    @abstractmethod
    def per_frame(self, restored: Tensor, clean: Tensor) -> Tensor:
        """(N, 3, H, W) twice, in [-1, 1] -> (N,)."""


def _as_frames(video: Tensor) -> tuple[Tensor, ...]:
    return video.transpose(1, 2).flatten(0, 1).split(FRAMES_AT_ONCE)
