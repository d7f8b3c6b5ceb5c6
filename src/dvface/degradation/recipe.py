"""A named chain of operators whose every draw is recorded and can be replayed."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dvface.degradation.operator import Clip, Operator
from dvface.errors import UserError, nearest


class Recipe:
    """Degrades clips by ``operators`` in their order; with none of them it is the identity.

    Args:
        name: by which records know the recipe.
        operators: the steps, keyed by name.
    """

    def __init__(self, name: str, operators: Mapping[str, Operator]) -> None:
        self.name = name
        self.operators = dict(operators)

    def __call__(self, clip: Clip, rng: np.random.Generator) -> tuple[Clip, dict[str, Any]]:
        """The degraded clip and the record of what was drawn.

        Args:
            clip: (T, H, W, 3) float32 RGB in [0, 1].
            rng: what decides; a generator in the same state gives the same pixels in any process.

        Returns:
            The clip, same range (and same size, where the recipe ends in `ResizeBack`), and a JSON record
            ``{"recipe": name, "steps": [{"operator": key, "parameters": {…}}, …]}``.
        """
        steps = [
            {"operator": key, "parameters": operator.draw(rng, clip.shape)} for key, operator in self.operators.items()
        ]
        record = {"recipe": self.name, "steps": steps}
        return self.replay(clip, record), record

    def replay(self, clip: Clip, record: Mapping[str, Any]) -> Clip:
        """What `__call__` gave when it drew ``record``, bit for bit.

        Raises:
            UserError: the record is of another recipe, names an operator that this recipe lacks or lacks a
                parameter, or was made with another version of the video encoder.
        """
        if record["recipe"] != self.name:
            raise UserError(
                f"the record is of recipe '{record['recipe']}', not of '{self.name}'; replay it with its own"
            )
        result = clip
        for step in record["steps"]:
            key = step["operator"]
            if key not in self.operators:
                raise UserError(
                    f"the record names operator '{key}', which recipe '{self.name}' lacks"
                    f"{nearest(key, self.operators)}; replay it with the recipe that made it"
                )
            try:
                result = self.operators[key].apply(result, step["parameters"])
            except KeyError as error:
                raise UserError(
                    f"the record's operator '{key}' has no parameter {error}; replay it with its own recipe"
                ) from error
        # In place, except in the caller's own clip, which a recipe of few steps may have handed through.
        return np.clip(result, 0, 1, out=None if np.may_share_memory(result, clip) else result)

    def describe(self) -> str:
        """One sentence that says what the recipe does, with its numbers."""
        steps = [operator.describe() for operator in self.operators.values()]
        return f"{self.name}: {', then '.join(steps) or 'leaves the clip as it is'}."
