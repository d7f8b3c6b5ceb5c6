"""The terms: each compares restored with clean video, (B, 3, T, H, W) in [-1, 1]."""

from abc import ABC, abstractmethod

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from dvface.perception.perceptual import PerceptualNetwork


class VideoLoss(nn.Module, ABC):
    """One term of the restorer's loss."""

    @abstractmethod
    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """A scalar.

        Args:
            restored: (B, 3, T, H, W), not clamped.
            clean: the same shape, in [-1, 1].
            step: the optimiser's step, by which a term that looks at a part chooses it, so that a resumed run
                chooses as an uninterrupted one.
        """


class CharbonnierLoss(VideoLoss):
    """√(d² + ε²), an L1 that is smooth at zero (Charbonnier et al. 1994); L_rec.

    Args:
        epsilon: where the curve bends; in units of pixel values.
    """

    def __init__(self, epsilon: float = 1e-3) -> None:
        super().__init__()
        self.epsilon = epsilon

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        return ((restored - clean).square() + self.epsilon**2).sqrt().mean()


class FrameDifferenceLoss(VideoLoss):
    """L1 between the differences of adjacent frames; L_temp, as in DOVE's second stage."""

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        return functional.l1_loss(restored.diff(dim=2), clean.diff(dim=2))


class PerceptualLoss(VideoLoss):
    """A perceptual distance on a few frames of each clip; L_per.

    Args:
        network: gives one distance a frame.
        frames: how many frames of each clip are looked at; which ones rotates with the step.
    """

    def __init__(self, network: PerceptualNetwork, frames: int) -> None:
        super().__init__()
        self.network = network
        self.frames = frames

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        length = restored.shape[2]
        count = min(self.frames, length)
        chosen = [(step + number * length // count) % length for number in range(count)]
        flat = (rearrange(video[:, :, chosen], "b c t h w -> (b t) c h w") for video in (restored, clean))
        return self.network(*flat).mean()


class WeightedLosses(nn.Module):
    """A sum of named terms.

    Args:
        terms: name to term.
        weights: name to weight; every term has one.
    """

    def __init__(self, terms: dict[str, VideoLoss], weights: dict[str, float]) -> None:
        super().__init__()
        if set(terms) != set(weights):
            raise ValueError(f"terms {sorted(terms)} and weights {sorted(weights)} must have the same names")
        self.terms = nn.ModuleDict(terms)
        self.weights = weights

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term before its weight."""
        values = {name: term(restored, clean, step) for name, term in self.terms.items()}
        total = sum((self.weights[name] * value for name, value in values.items()), start=restored.new_zeros(()))
        return total, values
