"""Composed experiments that several tests look at: composing one takes half a second."""

import copy
from functools import cache

from omegaconf import DictConfig, OmegaConf

from dvface.config.compose import groups, load

EXPERIMENTS = groups()["exp"]
ABLATIONS = [name for name in EXPERIMENTS if name.startswith("ablation_")]


@cache
def _composed(name: str) -> DictConfig:
    return load("train", [f"exp={name}"])


def composed(name: str) -> DictConfig:
    """The training configuration of an experiment, to be changed at will."""
    return copy.deepcopy(_composed(name))


def filled(tree: DictConfig) -> DictConfig:
    """The tree with a path wherever the user must name one."""
    if "source" in tree.get("data", {}) and OmegaConf.is_missing(tree.data.source, "held_out"):
        tree.data.source.held_out = "somewhere"  # first, since other keys repeat it
    for key in OmegaConf.missing_keys(tree):
        OmegaConf.update(tree, key, "somewhere")
    return tree


def covers(named: str, key: str) -> bool:
    """Whether a key that an ablation names is ``key`` or holds it."""
    return key == named or key.startswith(f"{named}.")
