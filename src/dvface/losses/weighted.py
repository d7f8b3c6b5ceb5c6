"""A sum of named terms."""

from collections.abc import Mapping
from math import inf

import torch
from torch import Tensor, nn

from dvface.losses.base import VideoLoss
from dvface.losses.none import NoLoss


class WeightedLosses(nn.Module):
    """A sum of named, weighted terms; terms of class `NoLoss` are left out and not logged.

    Args:
        weights: name to weight; every term has one.
        first_steps: name to the step from which on a term takes part in training, 0 where nothing is said; held-out
            losses hold every term at any step, so that they can be compared over a whole run.
        terms: name to term.

    Raises:
        ValueError: a term has no weight, or a weight or first step has no term or no sense.
    """

    def __init__(
        self, weights: Mapping[str, float], first_steps: Mapping[str, int] | None = None, **terms: VideoLoss
    ) -> None:
        super().__init__()
        if set(terms) != set(weights):
            raise ValueError(f"terms {sorted(terms)} and weights {sorted(weights)} must have the same names")
        for name, weight in weights.items():
            if not isinstance(weight, int | float) or not 0 <= weight < inf:
                raise ValueError(f"weights.{name} must be a number of 0 or more, got {weight!r}")
        first_steps = first_steps or {}
        for name, step in first_steps.items():
            if name not in terms:
                raise ValueError(f"first_steps.{name} is not a term; known: {', '.join(sorted(terms))}")
            if not isinstance(step, int) or step < 0:
                raise ValueError(f"first_steps.{name} must be an integer of 0 or more, got {step!r}")
        self.first_steps = dict(first_steps)
        self.terms = nn.ModuleDict({name: term for name, term in terms.items() if not isinstance(term, NoLoss)})
        if self.terms and all(self.first_steps.get(name, 0) for name in self.terms):
            raise ValueError("first_steps must leave a term that takes part from step 0 on, or nothing is learned")
        self.weights = dict(weights)

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum, and each term before its weight; a term of several parts, also each ``term_part``."""
        total = restored.new_zeros(())
        values: dict[str, Tensor] = {}
        for name, term in self.terms.items():
            if self.training and step < self.first_steps.get(name, 0):
                continue
            parts = term.parts(restored, clean, step)  # type: ignore[operator]
            values[name] = torch.stack(list(parts.values())).sum()
            total = total + self.weights[name] * values[name]
            if len(parts) > 1:
                values |= {f"{name}_{part}": value for part, value in parts.items()}
        return total, values
