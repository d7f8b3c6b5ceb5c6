"""Operators made of operators: in a row, in a random order, or one of several."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dvface.degradation.operator import Clip, Operator, Parameters, checked_probabilities, draw_name, percent


class Chain:
    """Applies ``operators`` in their order, as one step of a recipe.

    Args:
        operators: the steps, keyed by name; at least one.
    """

    def __init__(self, operators: Mapping[str, Operator]) -> None:
        self.operators = _checked(operators)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """``{"steps": [{"operator": key, "parameters": {…}}, …]}`` in the order of application."""
        return draw_steps(self.operators, list(self.operators), rng, shape)

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip after all steps."""
        return apply_steps(self.operators, clip, parameters)

    def describe(self) -> str:
        """The operators' words in their order."""
        return " followed by ".join(operator.describe() for operator in self.operators.values())


class Shuffled:
    """Applies ``operators`` in an order that is drawn for every clip.

    Args:
        operators: the steps, keyed by name; at least one.
    """

    def __init__(self, operators: Mapping[str, Operator]) -> None:
        self.operators = _checked(operators)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """As `Chain`'s; the order of the steps is what was drawn."""
        keys = list(self.operators)
        return draw_steps(self.operators, [keys[index] for index in rng.permutation(len(keys))], rng, shape)

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip after all steps."""
        return apply_steps(self.operators, clip, parameters)

    def describe(self) -> str:
        """The operators' words."""
        return f"in random order [{'] and ['.join(operator.describe() for operator in self.operators.values())}]"


class OneOf:
    """Applies one of ``operators``, drawn for every clip.

    Args:
        operators: what may be applied, keyed by name; at least one.
        probabilities: of each of those names; they sum to one.
    """

    def __init__(self, operators: Mapping[str, Operator], probabilities: Mapping[str, float]) -> None:
        self.operators = _checked(operators)
        self.probabilities = checked_probabilities("probabilities", probabilities, self.operators)
        if missing := [key for key in self.operators if key not in self.probabilities]:
            raise ValueError(f"probabilities must have every operator, {missing[0]!r} is missing")

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """``{"chosen": key, "parameters": {…}}``."""
        key = draw_name(rng, self.probabilities)
        return {"chosen": key, "parameters": self.operators[key].draw(rng, shape)}

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The clip as the chosen operator degrades it."""
        return self.operators[parameters["chosen"]].apply(clip, parameters["parameters"])

    def describe(self) -> str:
        """The operators' words and shares."""
        choices = [f"{self.operators[key].describe()} ({percent(share)})" for key, share in self.probabilities.items()]
        return f"either {' or '.join(choices)}"


def draw_steps(
    operators: Mapping[str, Operator], keys: Sequence[str], rng: np.random.Generator, shape: Sequence[int]
) -> Parameters:
    """The draws of ``operators[key]`` for every key in order, each with its key."""
    return {"steps": [{"operator": key, "parameters": operators[key].draw(rng, shape)} for key in keys]}


def apply_steps(operators: Mapping[str, Operator], clip: Clip, parameters: Mapping[str, Any]) -> Clip:
    """The clip after the steps that `draw_steps` recorded."""
    for step in parameters["steps"]:
        clip = operators[step["operator"]].apply(clip, step["parameters"])
    return clip


def _checked(operators: Mapping[str, Operator]) -> dict[str, Operator]:
    if not operators:
        raise ValueError("operators must have at least one entry")
    return dict(operators)
