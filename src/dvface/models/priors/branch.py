"""One side of the prior: what it looks for in a clip, and how it scores codebook entries."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from torch import Tensor, nn

from dvface.models.priors.extractors import Extractor


class Branch(nn.Module, ABC):
    """One side of the prior; its codebook belongs to the prior.

    Attributes:
        active: whether the side exists.
    """

    active: ClassVar[bool]

    @abstractmethod
    def extract(self, features: Tensor, latent_frames: int) -> Tensor:
        """The encoder's features (B, T or T', h, w, C) to the branch's own (B, T', h, w, C)."""

    @abstractmethod
    def score(self, own: Tensor) -> Tensor:
        """The branch's own features to the quantizer's ``outputs``, (B, T', h, w, outputs)."""

    @abstractmethod
    def freeze_predictor(self) -> None:
        """Train no predictor: while codebooks are learned there is nothing to predict yet."""


class CodebookBranch(Branch):
    """A branch with an extractor and a code-predicting transformer.

    Args:
        extractor: what the branch looks for.
        predictor: makes the network that scores the entries from degraded features.
        outputs: the quantizer's ``outputs``.
    """

    active = True

    def __init__(self, extractor: Extractor, predictor: Callable[..., nn.Module], outputs: int) -> None:
        super().__init__()
        self.extractor = extractor
        self.predictor = predictor(outputs=outputs)

    def extract(self, features: Tensor, latent_frames: int) -> Tensor:
        """See the base class."""
        return self.extractor(features, latent_frames)

    def score(self, own: Tensor) -> Tensor:
        """See the base class."""
        return self.predictor(own)

    def freeze_predictor(self) -> None:
        """See the base class."""
        self.predictor.requires_grad_(False)


class NoBranch(Branch):
    """The side that an ablation takes away.

    Args:
        outputs: of the quantizer that nobody will use.
    """

    active = False

    def __init__(self, outputs: int = 0) -> None:
        super().__init__()

    def extract(self, features: Tensor, latent_frames: int) -> Tensor:
        """Features without channels."""
        batch, _, height, width, _ = features.shape
        return features.new_zeros(batch, latent_frames, height, width, 0)

    def score(self, own: Tensor) -> Tensor:
        """No scores either."""
        return own

    def freeze_predictor(self) -> None:
        """There is none."""
