"""Several recipes as one."""

import json
from collections import Counter

import numpy as np
import pytest

from dvface.degradation.mixture import Mixture
from dvface.degradation.noise import GaussianNoise
from dvface.degradation.recipe import Recipe
from dvface.errors import UserError
from dvface.seeding import derive_generator

CLIP = np.random.default_rng(0).random((2, 8, 8, 3), dtype=np.float32)


def mixture(shares: dict[str, float] | None = None) -> Mixture:
    noise = GaussianNoise(sigma=[5.0, 10.0], grey_probability=0.5, static_probability=0.0)
    recipes = {"noisy": Recipe("noise", {"noise": noise}), "whole": Recipe("none", {})}
    return Mixture("both", recipes, shares or {"noisy": 0.3, "whole": 0.7})


def test_recipes_are_drawn_by_their_shares() -> None:
    mixed = mixture()
    drawn = Counter(mixed(CLIP, derive_generator(1, number))[1]["chosen"] for number in range(2000))
    assert set(drawn) == {"noisy", "whole"}
    assert abs(drawn["noisy"] / 2000 - 0.3) < 4 * (0.3 * 0.7 / 2000) ** 0.5  # four standard deviations


@pytest.mark.parametrize("number", range(6))
def test_what_was_drawn_is_done_and_replayed_from_json(number: int) -> None:
    mixed = mixture()
    degraded, record = mixed(CLIP, derive_generator(2, number))
    assert np.array_equal(degraded, CLIP) == (record["chosen"] == "whole")
    np.testing.assert_array_equal(mixture().replay(CLIP, json.loads(json.dumps(record))), degraded)


def test_the_same_draw_gives_the_same_clip() -> None:
    one, other = (mixture()(CLIP, derive_generator(3, "key")) for _ in range(2))
    np.testing.assert_array_equal(one[0], other[0])
    assert one[1] == other[1]


def test_the_description_has_every_recipe_with_its_share() -> None:
    assert mixture().describe().startswith("both: one of 30% noise: ")
    assert "| 70% none: leaves the clip as it is." in mixture().describe()


def test_a_foreign_record_is_refused() -> None:
    with pytest.raises(UserError, match="of recipe 'vfhq', not of 'both'"):
        mixture().replay(CLIP, {"recipe": "vfhq", "steps": []})
    with pytest.raises(UserError, match="names recipe 'nosy', which mixture 'both' lacks; did you mean 'noisy'"):
        mixture().replay(CLIP, {"recipe": "both", "chosen": "nosy", "record": {}})


@pytest.mark.parametrize(
    ("shares", "words"),
    [
        ({"noisy": 1.0}, "'whole' is missing"),
        ({"noisy": 0.5, "whole": 0.4}, "sum to 1"),
        ({"noisy": 0.5, "other": 0.5}, "got 'other'"),
    ],
)
def test_shares_must_fit_the_recipes(shares: dict[str, float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        mixture(shares)
