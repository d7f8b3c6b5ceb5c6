"""The text condition of a text-to-video backbone that is never told anything."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class TextCondition(nn.Module, ABC):
    """A fixed text embedding that travels with the checkpoint; no text encoder is ever loaded.

    Attributes:
        dim: channels of the embedding; 4096 for umT5-XXL.
    """

    dim: int

    @abstractmethod
    def forward(self, batch: int) -> Tensor:
        """(batch, tokens, dim)."""


class LearnedText(TextCondition):
    """One trainable null token that starts at zero.

    Wan's text attention has no positions, so one zero token gives what 512 padding tokens of zeros give; the
    empty prompt differs from that by its end-of-sequence token alone.

    Args:
        dim: channels.

    Raises:
        ValueError: ``dim`` is below 1.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        if dim < 1:
            raise ValueError(f"text.dim must be at least 1, got {dim}")
        self.dim = dim
        self.embedding = nn.Parameter(torch.zeros(1, 1, dim))

    def forward(self, batch: int) -> Tensor:
        """See the base class."""
        return self.embedding.expand(batch, -1, -1)


class StoredText(TextCondition):
    """A precomputed embedding, that of the empty prompt, frozen.

    Zeros until it is filled from the file that ``dvface text`` writes:
    ``pretrained/text=file pretrained.text.path=FILE``.

    Args:
        tokens: tokens with padding; Wan pads to 512 with zeros.
        dim: channels.

    Raises:
        ValueError: ``tokens`` or ``dim`` is below 1.
    """

    embedding: Tensor

    def __init__(self, tokens: int, dim: int) -> None:
        super().__init__()
        if min(tokens, dim) < 1:
            raise ValueError(f"text.tokens and text.dim must be at least 1, got {tokens} and {dim}")
        self.dim = dim
        self.register_buffer("embedding", torch.zeros(1, tokens, dim))

    def forward(self, batch: int) -> Tensor:
        """See the base class."""
        return self.embedding.expand(batch, -1, -1)
