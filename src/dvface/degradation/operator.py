"""What an operator is, and the one that skips another at random."""

from collections.abc import Mapping, Sequence
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
        return f"{self.operator.describe()} ({self.probability:.0%} of clips)"


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


def span(values: tuple[float, float]) -> str:
    """A range for a person: ``0.1–10``, or ``4`` where both ends are 4."""
    low, high = values
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def draw_seed(rng: np.random.Generator) -> int:
    """A seed for noise that `apply` makes anew; below 2^53, which every JSON reader keeps exactly."""
    return int(rng.integers(2**53))
