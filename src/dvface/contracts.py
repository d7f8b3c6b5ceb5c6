"""The few data classes that parts exchange. Shapes: B clips, T frames, T' latent frames, h × w tokens a frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


def latent_frames(frames: int, stride: int = 4) -> int:
    """T' for T pixel frames: the first frame alone, then groups of ``stride``: T' = (T-1)/stride + 1.

    Raises:
        ValueError: T is not a multiple of ``stride`` plus 1; a video autoencoder would silently drop frames.
    """
    if frames < 1 or (frames - 1) % stride:
        raise ValueError(f"a clip needs {stride}k+1 frames, got {frames}")
    return (frames - 1) // stride + 1


@dataclass(frozen=True)
class Quantized:
    """What a quantizer returns.

    Attributes:
        features: (..., C) codebook entries; gradients pass straight through to the quantizer's input.
        indices: (...) chosen entries, int64.
        loss: scalar, the commitment (and, where learned by gradient, codebook) loss.
        perplexity: scalar, exp of the entropy of entry use within this batch; 1 means one entry serves all.
    """

    features: Tensor
    indices: Tensor
    loss: Tensor
    perplexity: Tensor


@dataclass(frozen=True)
class PriorSide:
    """One side (spatial or temporal) of the prior.

    Attributes:
        tokens: (B, T', h, w, C) codebook entries; C = 0 for an empty side.
        logits: (B, T', h, w, K) scores of the code-predicting transformer; K = 0 for an empty side.
        indices: (B, T', h, w) int64, the chosen entries.
    """

    tokens: Tensor
    logits: Tensor
    indices: Tensor

    @classmethod
    def empty(cls, batch: int, frames: int, height: int, width: int, like: Tensor) -> PriorSide:
        """The side of an ablated branch: a grid without channels, on the device and of the type of ``like``."""
        grid = (batch, frames, height, width)
        return cls(
            tokens=like.new_zeros((*grid, 0)),
            logits=like.new_zeros((*grid, 0)),
            indices=torch.zeros(grid, dtype=torch.int64, device=like.device),
        )

    @property
    def channels(self) -> int:
        """C; 0 for an empty side."""
        return self.tokens.shape[-1]


@dataclass(frozen=True)
class PriorFeatures:
    """What the dual codebook gives the backbone: f_s and f_t in the paper's Figure 2(b)."""

    spatial: PriorSide
    temporal: PriorSide


@dataclass(frozen=True)
class Grid:
    """The backbone's token grid: token n stands at frame n // (height·width), row, column in that order."""

    frames: int
    height: int
    width: int

    @property
    def tokens(self) -> int:
        """Tokens of one clip."""
        return self.frames * self.height * self.width


@dataclass(frozen=True)
class ClipBatch:
    """A batch of training pairs.

    Attributes:
        clean: (B, 3, T, H, W) float in [-1, 1], RGB.
        degraded: the same shape and range.
        keys: the samples' keys, by which any of them can be rebuilt.
    """

    clean: Tensor
    degraded: Tensor
    keys: tuple[str, ...]
