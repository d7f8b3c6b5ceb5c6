from collections.abc import Collection
from itertools import zip_longest

import pytest
import torch
from omegaconf import DictConfig
from tests.config.experiments import ABLATIONS, EXPERIMENTS, composed, covers, filled

from dvface.config.build import build
from dvface.config.compose import difference, flatten, folder, groups, load, resolve
from dvface.config.schema import PrepareSettings, check, validated
from dvface.data_prep.testsets.settings import TestsetSettings
from dvface.errors import UserError
from dvface.sweeps.settings import SweepSettings


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_checks_and_builds(name: str) -> None:
    settings = check(resolve(filled(composed(name))))
    with torch.device("meta"):  # the full-size ones would fill gigabytes
        build(settings.model)
    assert settings.exp == name


OF_PREPARE = load("prepare").keys() & groups().keys()
OF_TESTSET = {"protocol"}
OF_SWEEP = {"launcher"}
OF_METRICS = {"flow", "embedding"}
OF_TRAIN = groups().keys() - OF_PREPARE - OF_TESTSET - OF_SWEEP - OF_METRICS - {"metrics", "exp"}


def variants(of: Collection[str]) -> list[tuple[str, str]]:
    return [(group, name) for group, names in groups().items() if group in of for name in names]


@pytest.mark.parametrize(("group", "variant"), variants(OF_TESTSET))
def test_every_file_of_the_testset_command_composes_into_a_valid_configuration(group: str, variant: str) -> None:
    validated(TestsetSettings, resolve(filled(load("testset", [f"{group}={variant}"]))))


@pytest.mark.parametrize(("group", "variant"), variants(OF_SWEEP))
def test_every_file_of_the_sweep_command_composes_into_a_valid_configuration(group: str, variant: str) -> None:
    validated(SweepSettings, resolve(filled(load("sweep", [f"{group}={variant}"]))))


@pytest.mark.parametrize(("group", "variant"), variants(OF_PREPARE))
def test_every_file_of_the_prepare_command_composes_into_a_valid_configuration(group: str, variant: str) -> None:
    validated(PrepareSettings, resolve(filled(load("prepare", [f"{group}={variant}"]))))


@pytest.mark.parametrize(("group", "variant"), variants(OF_METRICS))
def test_every_part_of_a_measure_composes_into_a_valid_configuration(group: str, variant: str) -> None:
    measure = {"flow": "ewarp", "embedding": "vidd"}[group]
    check(resolve(filled(load("train", [f"metrics=[{measure}]", f"{group}@metrics.{measure}.{group}={variant}"]))))


def test_all_measures_and_groups_of_them_compose_into_a_valid_configuration() -> None:
    settings = check(resolve(filled(load("train", [f"metrics=[{','.join(groups()['metrics'])}]"]))))
    assert settings.metrics.keys() >= {"psnr", "ewarp", "niqe", "dover"}


def rows() -> list[list[str]]:
    """Every variant of the training command, those of unrelated groups side by side: composing once takes a while."""
    columns: dict[str, list[str]] = {}
    for group, variant in variants(OF_TRAIN):
        # The VAE comes from where the transformer is.
        extra = ["pretrained/backbone=wan21"] if (group, variant) == ("pretrained/autoencoder", "wan21") else []
        columns.setdefault(group.partition("/")[0], []).append(",".join([*extra, f"{group}={variant}"]))
    return [[text for text in row if text] for row in zip_longest(*columns.values())]


@pytest.mark.parametrize("row", rows(), ids=" ".join)
def test_every_file_under_conf_composes_into_a_valid_configuration(row: list[str]) -> None:
    check(resolve(filled(load("train", [word for text in row for word in text.split(",")]))))


@pytest.mark.parametrize(
    "path", sorted(folder().rglob("*.yaml")), ids=lambda path: path.relative_to(folder()).as_posix()
)
def test_every_file_under_conf_says_what_it_is(path) -> None:
    lines = [line for line in path.read_text().splitlines() if "@package" not in line]
    assert lines[0].startswith("# ")
    assert len(lines) <= 60


@pytest.mark.parametrize("name", ABLATIONS)
def test_an_ablation_differs_from_its_baseline_in_what_it_names_only(name: str) -> None:
    tree = composed(name)
    changed = difference(composed(tree.baseline), tree)
    assert tree.ablates
    for key in changed:
        assert any(covers(named, key) for named in tree.ablates), f"{key} is changed and not named"
    for named in tree.ablates:
        assert any(covers(named, key) for key in changed), f"{named} is named and not changed"


def test_a_group_of_another_command_is_an_unknown_key() -> None:
    with pytest.raises(UserError, match="unknown key 'detector'"):
        load("train", ["detector=dlib"])


def test_a_difference_is_seen_once_however_many_places_refer_to_it() -> None:
    changed = difference(load("train"), load("train", ["size.token_dim=64"]))
    assert changed == {"size.token_dim": (load("train").size.token_dim, 64)}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("exp=tinny", r"exp=tinny: .*did you mean 'tiny'\? \(dvface config list exp shows all\)"),
        ("exp=tiny+ablation_no_temporol", "exp=ablation_no_temporol: .*did you mean 'ablation_no_temporal'"),
        ("fusion/temporal=modulatio", r"did you mean 'modulation'\? \(one of: adaptive_norm, addition, "),
        ("seeed=1", "unknown key 'seeed'; did you mean 'seed'"),
        ("backbone.layer=2", r"unknown key 'backbone.layer'; did you mean 'backbone\.layers'"),
        ("stages.restorer.stepss=2", "did you mean 'stages.restorer.steps'"),
        ("+backbone.layer=2", "unknown key 'backbone.layer'; did you mean 'layers'"),
        ("+extra=2", "unknown key 'extra'"),
        ("seed=abc", "seed='abc': input should be a valid integer"),
        ("seed=-1", "seed=-1: input should be greater than or equal to 0"),
        ("backbone.layers=two", r"backbone\.layers='two': input should be a valid integer"),
        ("backbone.layers=2.5", r"backbone\.layers=2\.5"),
        ("fusion.temporal.pooling=pixel", "input should be 'frame' or 'clip'"),
        (
            "stage=restore",
            "input should be 'chain', 'autoencoder', 'codebook', .* or 'restorer'",
        ),
        ("trainer.precision=bf8", "precision='bf8'"),
        ("backbone._target_=os.system", "only classes below dvface"),
        ("backbone._target_=dvface.models.backbones.wan.WanBackbon", "did you mean 'WanBackbone'"),
        ("backbone._target_=dvface.nowhere.Thing", r"there is no module dvface\.nowhere"),
        ("data=shards", r"data\.source\.held_out has no value yet"),
        ("nonsense", "'nonsense' is no setting; write key=value"),
        ("seed=", "seed="),
        ("exp=[", r"exp=\[: there is no such variant"),
        ("backbone.heads=5", r"no multiple of 2·heads = 10"),
        ("trainer.devices=2", "strategy must be ddp or fsdp"),
        ("trainer.devices=0", "trainer.devices"),
        ("loss.weights.temporal=abc", r"loss\.weights"),
        ("loss.weights.temporal=null", r"loss\.weights"),
        ("size.token_dim=0", "size.token_dim=0"),
        ("backbone.layers=0", "at least 1 layer"),
        ("backbone.patch_size=1", r"backbone\.patch_size"),
        ("stages.prior.module.code_weight=nan", "code_weight=nan: give a number"),
        ("backbone.feed_forward_dim=-3", "Restorer|negative"),
        ("trainer.averaging=1.5", "less than 1"),
        ("trainer.nodes=2", "strategy must be ddp or fsdp"),
        ("name=../x", "name="),
        ("data.tolerate=2", "less than or equal to 1"),
        ("data.start_method=thread", "'fork', 'spawn' or 'forkserver'"),
        ("trainer=dry-ran", "did you mean 'dry-run'"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(override: str, words: str) -> None:
    def attempt() -> None:
        build(check(resolve(load("train", [override]))).model)

    with pytest.raises(UserError, match=words) as caught:
        attempt()
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_lists_and_dicts_flatten_by_dotted_key() -> None:
    tree = DictConfig({"a": {"b": [1, 2], "c": None}, "d": {}})
    assert flatten(tree) == {"a.b": [1, 2], "a.c": None, "d": {}}
