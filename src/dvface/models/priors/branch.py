"""One side of the dual codebook: feature extractor, quantizer and code-predicting transformer."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from dvface.contracts import PriorSide, Quantized, latent_frames
from dvface.models.codebooks.quantizer import Quantizer
from dvface.models.priors.predictor import CodePredictor


class Branch(nn.Module, ABC):
    """One side of the prior."""

    @abstractmethod
    def quantize(self, features: Tensor) -> tuple[Tensor, Quantized] | None:
        """The branch's own features and what the quantizer makes of them; None where there is no branch.

        Args:
            features: (B, T, h, w, C) of the pixel encoder, from a clean clip.
        """

    @abstractmethod
    def predict(self, features: Tensor) -> tuple[Tensor, PriorSide]:
        """The branch's own features (B, T', h, w, C) and the entries that its transformer predicts.

        Args:
            features: (B, T, h, w, C) of the pixel encoder, from a degraded clip.
        """


class CodebookBranch(Branch):
    """A branch with a codebook.

    Args:
        extractor: (B, T, h, w, C) to (B, T', h, w, C).
        quantizer: the codebook and its rule.
        predictor: scores the entries from degraded features.
    """

    def __init__(self, extractor: nn.Module, quantizer: Quantizer, predictor: CodePredictor) -> None:
        super().__init__()
        self.extractor = extractor
        self.quantizer = quantizer
        self.predictor = predictor

    def quantize(self, features: Tensor) -> tuple[Tensor, Quantized]:
        """See the base class."""
        own = self.extractor(features)
        return own, self.quantizer(own)

    def predict(self, features: Tensor) -> tuple[Tensor, PriorSide]:
        """See the base class."""
        own = self.extractor(features)
        logits = self.predictor(own)
        indices = logits.argmax(dim=-1)
        return own, PriorSide(tokens=self.quantizer.lookup(indices), logits=logits, indices=indices)


class NoBranch(Branch):
    """The side that an ablation takes away: it learns nothing and gives an empty side.

    Args:
        temporal_stride: frames a latent frame stands for, by which the empty side keeps the right grid.
    """

    def __init__(self, temporal_stride: int = 4) -> None:
        super().__init__()
        self.temporal_stride = temporal_stride

    def quantize(self, features: Tensor) -> None:
        """Nothing to quantize."""

    def predict(self, features: Tensor) -> tuple[Tensor, PriorSide]:
        """Features without channels and an empty side."""
        batch, frames, height, width, _ = features.shape
        side = PriorSide.empty(batch, latent_frames(frames, self.temporal_stride), height, width, like=features)
        return side.tokens, side
