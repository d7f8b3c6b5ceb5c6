"""Parts that two experiments share start with the same numbers."""

import pytest
import torch
from tests.config.experiments import ABLATIONS, composed
from torch import Tensor

from dvface.config.build import build
from dvface.config.compose import declared, load, resolve

UPON_TINY = [name for name in ABLATIONS if declared(name, "baseline") == "tiny"]


def start(name: str, seed: int) -> dict[str, Tensor]:
    return build(resolve(composed(name))["model"], seed=seed).state_dict()


@pytest.fixture(scope="module")
def of_baseline() -> dict[str, Tensor]:
    return start("tiny", 3)


@pytest.mark.parametrize("name", UPON_TINY)
def test_an_ablation_starts_with_the_numbers_of_its_baseline_in_all_that_it_leaves_alone(
    name: str, of_baseline: dict[str, Tensor]
) -> None:
    own, baseline = start(name, 3), of_baseline
    ablated = tuple(composed(name).ablates)
    # where these lie in the model's own names
    places = {"fusion": "backbone.fusions", "codebook": "prior.own_codebooks", "size.entries": "prior"}
    inside = tuple(place for key, place in places.items() if any(named.startswith(key) for named in ablated))
    shared = [key for key, value in own.items() if key in baseline and value.shape == baseline[key].shape]
    assert len(shared) > 100
    assert [key for key in shared if not key.startswith(inside) and not torch.equal(own[key], baseline[key])] == []


def test_start_depends_on_the_seed_and_on_nothing_drawn_before_and_blocks_differ(
    of_baseline: dict[str, Tensor],
) -> None:
    torch.rand(7)
    state = torch.get_rng_state()
    first = build(resolve(composed("tiny"))["model"], seed=3).state_dict()
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, of_baseline[key]) for key, value in first.items())
    query = "backbone.fusions.{}.spatial.to_query.weight"
    assert not torch.equal(first[query.format(0)], first[query.format(1)])
    assert not torch.equal(first[query.format(0)], start("tiny", 4)[query.format(0)])


def test_without_a_seed_parts_draw_in_turn() -> None:
    model = resolve(load("train"))["model"]
    torch.manual_seed(1)
    one, other = build(model).state_dict(), build(model).state_dict()
    torch.manual_seed(1)
    assert all(torch.equal(value, one[key]) for key, value in build(model).state_dict().items())
    assert not torch.equal(one["prior.encoder.body.0.weight"], other["prior.encoder.body.0.weight"])
