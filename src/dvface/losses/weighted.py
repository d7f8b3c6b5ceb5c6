"""A sum of named terms."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import inf

import torch
from torch import Tensor, nn

from dvface.losses.base import VideoLoss
from dvface.losses.none import NoLoss

Weight = float | Sequence[Sequence[float]]
"""A number, or pairs of a step and the weight from there on, the first at step 0."""


class WeightedLosses(nn.Module):
    """A sum of named, weighted terms; terms of class `NoLoss` are left out and not logged.

    Args:
        weights: name to `Weight`; every term has one.
        terms: name to term.

    Raises:
        ValueError: a term has no weight, or a weight no term or no sense.
    """

    def __init__(self, weights: Mapping[str, Weight], **terms: VideoLoss) -> None:
        super().__init__()
        if set(terms) != set(weights):
            raise ValueError(f"terms {sorted(terms)} and weights {sorted(weights)} must have the same names")
        self.weights = {name: _steps(name, weight) for name, weight in weights.items()}
        self.terms = nn.ModuleDict({name: term for name, term in terms.items() if not isinstance(term, NoLoss)})

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term before its weight; a term of several parts, also each ``term_part``."""
        total = restored.new_zeros(())
        values: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            parts = term.parts(restored, clean, step)  # type: ignore[operator]
            values[name] = torch.stack(list(parts.values())).sum()
            weight = next(weight for first, weight in reversed(self.weights[name]) if step >= first)
            total = total + weight * values[name]
            if len(parts) > 1:
                values |= {f"{name}_{part}": value for part, value in parts.items()}
        return total, values


def _steps(name: str, weight: Weight) -> list[tuple[float, float]]:
    """``weight`` as pairs of a first step and a number."""
    pairs = weight if isinstance(weight, Sequence) else [(0, weight)]
    for pair in pairs:
        if not isinstance(pair, Sequence) or len(pair) != 2 or any(not isinstance(one, int | float) for one in pair):
            raise ValueError(f"weights.{name} must be a number, or a list of pairs [step, number], got {weight!r}")
        if not 0 <= pair[1] < inf:
            raise ValueError(f"weights.{name} must be a number of 0 or more, got {pair[1]!r}")
    if not pairs or pairs[0][0] != 0 or any(one[0] >= other[0] for one, other in pairwise(pairs)):
        raise ValueError(f"weights.{name} must begin at step 0 and go on at later ones, got {weight!r}")
    return [(first, number) for first, number in pairs]
