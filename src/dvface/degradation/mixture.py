"""Several recipes as one: each clip is degraded by one of them."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from dvface.degradation.operator import Clip, checked_probabilities, draw_name, percent
from dvface.degradation.recipe import Recipe
from dvface.errors import UserError, nearest


class Mixture:
    """Degrades each clip by one of ``recipes``, drawn anew.

    Args:
        name: by which records know the mixture.
        recipes: what may be drawn, keyed by name; at least one.
        probabilities: of each of those names; they sum to one.

    Raises:
        ValueError: ``probabilities`` does not have every recipe, or is none.
    """

    def __init__(self, name: str, recipes: Mapping[str, Recipe], probabilities: Mapping[str, float]) -> None:
        self.name = name
        self.recipes = dict(recipes)
        self.probabilities = checked_probabilities("probabilities", probabilities, self.recipes)
        if missing := [key for key in self.recipes if key not in self.probabilities]:
            raise ValueError(f"probabilities must have every recipe, {missing[0]!r} is missing")

    def __call__(self, clip: Clip, rng: np.random.Generator) -> tuple[Clip, dict[str, Any]]:
        """The degraded clip and the record of what was drawn; see `Recipe`.

        Returns:
            The clip and ``{"recipe": name, "chosen": key, "record": {…}}`` with the chosen recipe's own record.
        """
        key = draw_name(rng, self.probabilities)
        degraded, record = self.recipes[key](clip, rng)
        return degraded, {"recipe": self.name, "chosen": key, "record": record}

    def replay(self, clip: Clip, record: Mapping[str, Any]) -> Clip:
        """What `__call__` gave when it drew ``record``, bit for bit.

        Raises:
            UserError: the record is of another recipe, or names one that this mixture lacks; or see `Recipe.replay`.
        """
        if record["recipe"] != self.name:
            raise UserError(
                f"the record is of recipe '{record['recipe']}', not of '{self.name}'; replay it with its own"
            )
        key = record["chosen"]
        if key not in self.recipes:
            raise UserError(
                f"the record names recipe '{key}', which mixture '{self.name}' lacks{nearest(key, self.recipes)}; "
                "replay it with the mixture that made it"
            )
        return self.recipes[key].replay(clip, record["record"])

    def describe(self) -> str:
        """One sentence that says what each recipe does and how often."""
        parts = [f"{percent(share)} {self.recipes[key].describe()}" for key, share in self.probabilities.items()]
        return f"{self.name}: one of {' | '.join(parts)}"
