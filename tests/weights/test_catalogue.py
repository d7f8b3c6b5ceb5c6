"""What the catalogue states of each network."""

import ast
import re
from pathlib import Path, PurePosixPath

import pytest

import dvface
from dvface.errors import UserError
from dvface.weights import WeightsMissing
from dvface.weights.catalogue import CATALOGUE, RAFT_SMALL, network, timm_backbone
from dvface.weights.fetching import check_address

SOURCE = Path(dvface.__file__).parent
CONF = SOURCE.parents[1] / "conf"


@pytest.mark.parametrize("weights", CATALOGUE, ids=lambda weights: weights.key)
def test_every_entry_states_what_it_is_for_whose_it_is_and_what_it_must_be(weights) -> None:
    assert weights.name
    assert weights.used_by
    assert weights.licence
    assert "." in weights.source.split("/")[0]
    assert weights.folder_names
    assert weights.forms
    endings = {PurePosixPath(name).name for name in weights.folder_names}
    carried = {PurePosixPath(weights.packaged.path).name} if weights.packaged else set()
    for form in weights.forms:
        assert form.file_name in endings | carried
        assert form.sha256 is None or re.fullmatch(r"[0-9a-f]{8}|[0-9a-f]{64}", form.sha256)
        assert form.size is None or form.size > 1000
    if weights.url:
        check_address(weights.url)
        assert weights.fetched_form in weights.forms


def test_digits_in_a_published_name_are_those_of_the_checksum() -> None:
    told = [
        (match[1], form.sha256)
        for weights in CATALOGUE
        for form in weights.forms
        if (match := re.search(r"-([0-9a-f]{8})\.", form.file_name))
    ]
    assert len(told) >= 5
    assert all(sha256.startswith(digits) for digits, sha256 in told)


def test_keys_are_one_word_each_and_no_two_networks_share_a_place() -> None:
    keys = [weights.key for weights in CATALOGUE]
    assert all(re.fullmatch(r"[a-z0-9_]+", key) for key in keys)
    assert len(set(keys)) == len(keys)
    places = [name for weights in CATALOGUE for name in weights.folder_names]
    assert len(set(places)) == len(places)


def test_no_other_module_declares_a_network() -> None:
    declaring = [
        str(path.relative_to(SOURCE))
        for path in SOURCE.rglob("*.py")
        if path.parent != SOURCE / "weights/catalogue"
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Weights"
    ]
    assert declaring == []


def test_whatever_uses_a_network_exists() -> None:
    for weights in CATALOGUE:
        for user in weights.used_by:
            group, equals, variant = user.rpartition("=")
            assert (CONF / (group if equals else "metrics") / f"{variant}.yaml").is_file(), user


@pytest.mark.parametrize("weights", [one for one in CATALOGUE if one.packaged], ids=lambda weights: weights.key)
def test_a_copy_that_an_installed_package_carries_is_the_published_file(weights) -> None:
    carried = weights.packaged.locate()
    if carried is None:
        pytest.skip(f"{weights.packaged.package} is not installed")
    assert weights.form(carried).sha256
    assert weights.check(carried) is None


@pytest.mark.weights
@pytest.mark.parametrize("weights", CATALOGUE, ids=lambda weights: weights.key)
def test_a_file_in_the_weights_folder_is_the_published_one(weights) -> None:
    try:
        path = weights.find()
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    assert weights.check(path) is None


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    assert network("raft_small") is RAFT_SMALL
    with pytest.raises(UserError, match="no network is called 'raft_smal'; did you mean 'raft_small'"):
        network("raft_smal")


def test_any_backbone_of_timm_has_a_place_and_a_listed_one_its_facts() -> None:
    assert timm_backbone("convnext_atto").folder_names == ("timm/convnext_atto.pth",)
    assert timm_backbone("vit_small_patch14_dinov2").url
