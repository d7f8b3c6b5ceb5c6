"""What an operator is, and the one that skips another at random."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Clip = NDArray[np.float32]
"""(T, H, W, 3) float32 RGB in [0, 1]; between operators values may leave that range a little."""

Parameters = dict[str, Any]
"""What one draw decided: plain JSON values, enough to apply it again."""


class Operator(Protocol):
    """One step of a recipe."""

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """Parameters for one clip; ``shape`` (T, H, W, 3) is that of the clip that enters the recipe."""
        ...

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The degraded clip: a function of its arguments alone, so a record replays under any settings."""
        ...

    def describe(self) -> str:
        """A few words with the numbers, for a person."""
        ...


class Sometimes:
    """Applies ``operator`` to a share of the clips and leaves the others as they are.

    Args:
        operator: any operator.
        probability: that a clip is degraded, in [0, 1].
    """

    def __init__(self, operator: Operator, probability: float) -> None:
        self.operator = operator
        self.probability = checked_probability("probability", probability)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """``{"applied": false}``, or ``{"applied": true, "parameters": …}`` with the operator's own."""
        if rng.random() >= self.probability:
            return {"applied": False}
        return {"applied": True, "parameters": self.operator.draw(rng, shape)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip as the operator degrades it, or as it was."""
        return self.operator.apply(clip, parameters["parameters"]) if parameters["applied"] else clip

    def describe(self) -> str:
        """The operator's words and its share."""
        return f"{self.operator.describe()} ({percent(self.probability)} of clips)"


def checked_range(name: str, values: Sequence[float], lowest: float, highest: float) -> tuple[float, float]:
    """``values`` as (low, high), or a ValueError that names the argument and what is allowed."""
    if len(values) != 2 or not lowest <= values[0] <= values[1] <= highest:
        raise ValueError(f"{name} must be [low, high] with {lowest:g} <= low <= high <= {highest:g}, got {values}")
    return float(values[0]), float(values[1])


def checked_probability(name: str, value: float) -> float:
    """``value``, or a ValueError that names the argument."""
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1], got {value}")
    return float(value)


def checked_probabilities(name: str, values: Mapping[str, float], allowed: Iterable[str]) -> dict[str, float]:
    """``values`` as a dict, or a ValueError unless its keys are among ``allowed`` and it sums to one (within 0.001)."""
    for key in values:
        if key not in allowed:
            raise ValueError(f"{name} must be of {', '.join(allowed)}, got {key!r}")
    if not values or min(values.values()) < 0 or abs(sum(values.values()) - 1) > 1e-3:
        raise ValueError(f"{name} must be at least 0 and sum to 1, got {dict(values)}")
    return dict(values)


def draw_name(rng: np.random.Generator, probabilities: Mapping[str, float]) -> str:
    """One of the keys, drawn with its probability."""
    weights = np.array(list(probabilities.values()))
    return str(rng.choice(list(probabilities), p=weights / weights.sum()))


def percent(share: float) -> str:
    """A share for a person: ``40%``, ``2.7%``."""
    return f"{100 * share:.3g}%"


def shares(probabilities: Mapping[str, float]) -> str:
    """Probabilities for a person: ``area 20%, bilinear 80%``."""
    return ", ".join(f"{name} {percent(share)}" for name, share in probabilities.items())


def span(values: tuple[float, float]) -> str:
    """A range for a person: ``0.1–10``, or ``4`` where both ends are 4."""
    low, high = values
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for noise that `apply` makes anew; below 2^53, which every JSON reader keeps exactly."""
    return int(rng.integers(2**53))
