"""Degradations whose strength changes over a clip."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import numpy as np

from dvface.degradation.operator import Clip, Operator, Parameters, checked_probability, percent


@runtime_checkable
class Framewise(Operator, Protocol):
    """An operator that treats every frame by itself, so that its numbers may differ from frame to frame."""

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Other numbers under the choices made in ``parameters``: only those that may drift."""
        ...


class Drifting:
    """Lets the numbers of ``operator`` move evenly over the clip, from one draw towards another.

    Choices (a kernel's family, grey noise) hold for the whole clip; noise is new in every frame unless it is static.

    Args:
        operator: one that treats every frame by itself and has ``redraw``: a blur or a noise.
        share: how far the last frame is on the way from the first draw to the second, in [0, 1].

    Raises:
        ValueError: the operator resizes, spans frames or combines others, so its numbers cannot drift.
    """

    def __init__(self, operator: Operator, share: float = 1.0) -> None:
        if not isinstance(operator, Framewise):
            raise ValueError(
                f"operator must be a blur or a noise, whose numbers can differ from frame to frame, "
                f"got {type(operator).__name__}"
            )
        self.operator = operator
        self.share = checked_probability("share", share)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """``{"first": {…}, "last": {…}}``: all parameters of the first frame, the numbers of the last."""
        first = self.operator.draw(rng, shape)
        other = self.operator.redraw(rng, first)
        return {"first": first, "last": {key: _between(first[key], other[key], self.share) for key in other}}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The degraded clip; the only frame of a clip of one is the first."""
        first, last = parameters["first"], parameters["last"]
        result = np.empty(clip.shape, np.float32)
        for index in range(len(clip)):
            position = index / max(1, len(clip) - 1)
            numbers = {key: _between(first[key], last[key], position) for key in last}
            result[index] = self.operator.apply(clip[index : index + 1], {**first, **numbers, **_seed(first, index)})[0]
        return result

    def describe(self) -> str:
        """The operator's words, and that they drift."""
        way = "" if self.share == 1 else f" {percent(self.share)} of the way"
        return f"{self.operator.describe()}, drifting{way} to another draw over the clip"


def _between(first: float, last: float, position: float) -> float:
    value = first + (last - first) * position
    return round(value) if isinstance(first, int) else value


def _seed(parameters: Mapping[str, Any], index: int) -> Parameters:
    """A seed of its own for every frame, where there is noise that moves."""
    if "seed" not in parameters or parameters.get("static", False):
        return {}
    return {"seed": (parameters["seed"] + index) % 2**53}
