"""Which parts of a restorer its last stage trains."""

import pytest
import torch
from tests.conftest import SMALLEST

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer
from dvface.training.restorer_stage import RestorerStage

GATED = [
    *(word for word in SMALLEST if not word.startswith("refinement.")),
    *("refinement=multiscale_gated", "refinement.body.channels=[8]", "refinement.body.blocks=1"),
    *("refinement.channels=4", "loss/perceptual=none"),
]


def stage_of(parts: str) -> RestorerStage:
    tree = resolve(load("train", [*GATED, f"stages.restorer.module.parts={parts}"]))
    model: Restorer = build(tree["model"])
    stage: RestorerStage = build(tree["stages"]["restorer"]["module"])(model=model)
    return stage


def learning(stage: RestorerStage) -> set[str]:
    return {name.removeprefix("model.") for name, value in stage.named_parameters() if value.requires_grad}


@pytest.mark.parametrize("parts", ["[refinement.strength]", "[backbone,refinement.body]", "[backbone,refinement]"])
def test_the_parts_that_are_named_learn_and_no_other(parts: str) -> None:
    stage = stage_of(parts)
    found = learning(stage)
    named = parts.strip("[]").split(",")
    assert all(any(name.startswith(part) for name in found) for part in named)
    assert all(any(name.startswith(part) for part in named) for name in found)


def test_a_step_moves_the_strength_alone() -> None:
    stage = stage_of("[refinement.strength]")
    with torch.no_grad():  # a body that changes something, which the strength can weigh
        stage.model.refinement.body.output.bias.fill_(0.1)
    before = {name: value.clone() for name, value in stage.model.state_dict().items()}
    clean = torch.rand(1, 3, 5, 32, 32, generator=torch.Generator().manual_seed(0)) - 0.5
    loss, _ = stage.losses(ClipBatch(clean=clean, degraded=clean - 0.05, keys=("a",)))
    loss.backward()
    torch.optim.SGD([value for value in stage.parameters() if value.requires_grad], lr=0.1).step()
    moved = {name for name, value in stage.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("refinement.strength.") for name in moved)


def test_a_part_that_is_not_there_is_named_with_the_nearest() -> None:
    with pytest.raises(ValueError, match=r"parts: 'refinement\.strenght' cannot learn.*refinement\.strength"):
        stage_of("[refinement.strenght]")
