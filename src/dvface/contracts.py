"""The few data classes that parts exchange. Shapes: B clips, T frames, T' latent frames, h × w tokens a frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor


def latent_frames(frames: int, stride: int) -> int:
    """T' for T pixel frames: the first frame alone, then groups of ``stride``: T' = (T-1)/stride + 1.

    Raises:
        ValueError: T is not a multiple of ``stride`` plus 1; a video autoencoder would silently drop frames.
    """
    if frames < 1 or (frames - 1) % stride:
        raise ValueError(f"a clip needs {stride}k+1 frames, got {frames}")
    return (frames - 1) // stride + 1


@dataclass(frozen=True)
class LatentLayout:
    """What an autoencoder's latents look like; whatever reads latents is built for it.

    Attributes:
        channels: channels of the latents.
        spatial_stride: pixels that one latent position stands for, along height and along width.
        temporal_stride: frames that one latent frame stands for, except the first, which stands for one.
    """

    channels: int
    spatial_stride: int
    temporal_stride: int


@dataclass(frozen=True)
class Views:
    """A clip in pixels, and in latents for whoever asks.

    Attributes:
        video: (B, 3, T, H, W) in [-1, 1].
        encode: the autoencoder's; runs once, and only if somebody reads `latents`.
        latent_frames: T'.
    """

    video: Tensor
    encode: Callable[[Tensor], Tensor]
    latent_frames: int

    @cached_property
    def latents(self) -> Tensor:
        """(B, latent channels, T', H/stride, W/stride)."""
        return self.encode(self.video)


@dataclass(frozen=True)
class Quantized:
    """What a quantizer returns.

    Attributes:
        features: (..., C) codebook entries; gradients pass straight through to the quantizer's input.
        indices: (..., L) int64, the L entries chosen at each place; L = 0 where nothing is quantized.
        loss: scalar, what the quantizer itself asks to be minimised: commitment, codebook and usage terms.
        perplexity: scalar, exp of the entropy of entry use within this batch, averaged over levels; 1 means one
            entry serves all.
        usage: scalar, share of the entries that this batch uses, averaged over levels.
    """

    features: Tensor
    indices: Tensor
    loss: Tensor
    perplexity: Tensor
    usage: Tensor


@dataclass(frozen=True)
class PriorSide:
    """One side (spatial or temporal) of the prior.

    Attributes:
        tokens: (B, T', h, w, C) codebook entries; C = 0 for an empty side.
        logits: (B, T', h, w, L, K) scores of the code-predicting transformer; L = 0 where nothing is quantized.
        indices: (B, T', h, w, L) int64, the chosen entries, one for each of the quantizer's L levels.
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
            logits=like.new_zeros((*grid, 0, 0)),
            indices=torch.zeros((*grid, 0), dtype=torch.int64, device=like.device),
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
class BadClip:
    """A clip that could not be used.

    Attributes:
        key: of the clip.
        reason: a sentence.
    """

    key: str
    reason: str


@dataclass(frozen=True)
class StreamNote:
    """What a loader's worker says with a batch, so that a resumed run goes on behind it.

    Attributes:
        worker: which one of the loader's workers, by its place in the order of batches.
        places: how much of its own order of clips the worker has used up after this batch, one count a data set.
        bad: the clips that it passed over since its batch before.
    """

    worker: int
    places: tuple[int, ...]
    bad: tuple[BadClip, ...] = ()


@dataclass(frozen=True)
class ClipBatch:
    """A batch of training pairs.

    Attributes:
        clean: (B, 3, T, H, W) float in [-1, 1], RGB.
        degraded: the same shape and range.
        keys: the samples' keys, by which any of them can be rebuilt.
        note: where the stream stands; None for what comes from no stream, as held-out clips.
        padding: it only keeps several processes in step and counts for nothing.
    """

    clean: Tensor
    degraded: Tensor
    keys: tuple[str, ...]
    note: StreamNote | None = None
    padding: bool = False
