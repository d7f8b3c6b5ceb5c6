"""Ablations upon any baseline: what is said of them, and that they change nothing else."""

import pytest
import torch
from tests.config.experiments import ABLATIONS, composed, covers, filled

from dvface.config.ablation import baseline_difference
from dvface.config.build import build
from dvface.config.compose import declared, difference, load, load_with_choices, resolve
from dvface.config.schema import check
from dvface.errors import UserError

UPON_ANY = [name for name in ABLATIONS if declared(name, "baseline") == "tiny"]


def together() -> list[list[str]]:
    """All ablations in few stacks, in each only such as change different keys: composing once takes a while."""
    stacks: list[tuple[list[str], set[str]]] = []
    for name in UPON_ANY:
        own = set(declared(name, "ablates"))
        for names, taken in stacks:
            if not any(covers(one, other) or covers(other, one) for one in own for other in taken):
                names.append(name)
                taken |= own
                break
        else:
            stacks.append(([name], own))
    return [names for names, _ in stacks]


@pytest.mark.parametrize("names", together(), ids="+".join)
@pytest.mark.parametrize("baseline", ["small", "dvface"])
def test_ablations_fit_upon_the_larger_systems_and_change_what_they_name_only(baseline: str, names: list[str]) -> None:
    if baseline == "small":  # it sets the shares of its mixture of degradations, which no other recipe has
        names = [name for name in names if not name.startswith("ablation_degradation_")]
    tree = load("train", [f"exp={'+'.join([baseline, *names])}"])
    ablated = [key for name in names for key in declared(name, "ablates")]
    for key in difference(composed(baseline), tree):
        assert any(covers(named, key) for named in ablated), key
    with torch.device("meta"):
        build(check(resolve(filled(tree))).model)


def test_an_ablation_that_does_not_fit_a_baseline_is_refused_in_a_sentence() -> None:
    with pytest.raises(UserError, match=r"unknown key 'degradation\.(recipes|probabilities)'"):
        check(resolve(filled(load("train", ["exp=small+ablation_degradation_vfhq"]))))


def said(*words: str) -> list[str]:
    return baseline_difference(*load_with_choices("train", words), words)


def test_a_swapped_part_is_said_in_the_words_of_the_command_line() -> None:
    assert said("exp=ablation_no_prior") == [
        "fusion: asymmetric -> none",
        "prior/spatial: local_enhancement -> none",
        "prior/temporal: attention_difference -> none",
        "stages.codebook.steps: 60 -> 0",
        "stages.prior.steps: 60 -> 0",
    ]


def test_other_words_count_for_the_baseline_too() -> None:
    words = ("size.entries=32", "loss/temporal=none", "seed=3")
    assert said("exp=ablation_entries_16") == ["size.entries: 64 -> 16"]
    assert said("exp=ablation_pooling_clip", *words) == ["fusion.temporal.pooling: frame -> clip"]


def test_words_may_set_what_only_the_ablation_has() -> None:
    words = ("exp=ablation_quantizer_residual", "codebook.spatial.levels=4")
    assert said(*words) == [f"codebook/{side}: moving_average -> residual" for side in ("spatial", "temporal")]


def test_an_ablation_that_changes_nothing_says_so() -> None:
    (line,) = said("exp=dvface+ablation_quantizer_vq")
    assert line == "nothing: what this experiment changes against dvface is the same there already"


def test_an_experiment_without_a_baseline_differs_from_nothing() -> None:
    assert said("exp=dvface") == []


def test_an_experiment_upon_another_has_it_as_baseline_and_expects_nothing_of_its_curve() -> None:
    tree = load("train", ["exp=small+ablation_no_spatial", "seed=2"])
    assert (tree.exp, tree.baseline, tree.seed) == ("small+ablation_no_spatial", "small", 2)
    assert tree.size == composed("small").size
    assert tree.expected._target_.endswith("NothingExpected")
    assert not composed("small").expected._target_.endswith("NothingExpected")
    assert load("train", ["exp=small+ablation_no_spatial", "expected=small"]).expected == composed("small").expected


def test_what_changes_more_than_it_names_is_refused() -> None:
    assert said("exp=dvface+ablation_no_latent_stage") == ["stages.restorer_latent.steps: 10000 -> 0"]
    with pytest.raises(UserError, match=r"exp=dvface_lora\+ablation_no_latent_stage changes backbone.* not name it"):
        said("exp=dvface_lora+ablation_no_latent_stage")  # it is made from dvface and would bring its backbone along
