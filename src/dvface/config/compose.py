"""Composes configurations with Hydra and says in one sentence what is wrong with an override."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from dvface.errors import UserError, nearest

PACKAGE = Path(__file__).resolve().parents[1]
ABOUT = ("exp", "baseline", "ablates", "expected", "study")
"""Keys that say something about an experiment and decide nothing in it."""
MOST_LISTED = 20
"""Variants that a message lists."""


def folder() -> Path:
    """The folder ``conf``: inside the package once installed from a wheel, beside ``src`` in a checkout."""
    packaged = PACKAGE / "conf"
    return packaged if packaged.is_dir() else PACKAGE.parents[1] / "conf"


def groups() -> dict[str, list[str]]:
    """Every group and its variants: ``{"fusion/temporal": ["modulation", "none"], …}``."""
    found: dict[str, list[str]] = {}
    root = folder()
    for path in sorted(root.rglob("*.yaml")):
        group = path.parent.relative_to(root).as_posix()
        if group != ".":
            found.setdefault(group, []).append(path.stem)
    return found


def load(command: str, overrides: Sequence[str] = ()) -> DictConfig:
    """Compose ``conf/COMMAND.yaml`` with Hydra overrides; interpolations stay as they are written.

    The result has one more key, ``exp``: the name of the chosen experiment, where the command has experiments.
    ``exp=A+B`` puts experiment B upon A, which is its baseline then: ``exp=small+ablation_no_temporal``.

    Raises:
        UserError: an override does not parse, or names an unknown group variant or key; the message lists what is
            allowed or the nearest match.
    """
    return load_with_choices(command, overrides)[0]


def load_with_choices(command: str, overrides: Sequence[str] = ()) -> tuple[DictConfig, dict[str, str]]:
    """`load`, and the variant that was chosen of every group: ``{"fusion/temporal": "modulation", …}``."""
    stack = experiments(overrides)
    if len(stack) > 1:  # what is expected of the baseline is not what its ablation will do
        others = [text for text in overrides if not text.startswith("exp=")]
        overrides = ["expected=none", f"exp=[{','.join(stack)}]", *others]
    overrides = [_literal(text) for text in overrides]
    known = groups()
    _check_variants(overrides, known)
    overrides = [_each_once(text, known) for text in overrides]
    GlobalHydra.instance().clear()
    try:
        with initialize_config_dir(str(folder()), version_base="1.3"):
            tree = compose(command, overrides, return_hydra_config=True)
    except YAMLError as error:
        raise UserError(f"a file below {folder()} is no YAML: {' '.join(str(error).split())}") from error
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(_sentence(error, command, overrides)) from error
    choices = {str(group): str(variant) for group, variant in tree.hydra.runtime.choices.items()}
    with open_dict(tree):
        del tree["hydra"]
        if len(stack) > 1:
            tree["exp"], tree["baseline"] = "+".join(stack), "+".join(stack[:-1])
            tree["ablates"] = declared(stack[-1], "ablates") or []
        elif "exp" in choices:
            tree["exp"] = choices["exp"]
    return tree, choices


def experiments(overrides: Sequence[str]) -> list[str]:
    """The names in the last ``exp=A+B``, in the order in which they are put upon each other."""
    chosen = [text.removeprefix("exp=") for text in overrides if text.startswith("exp=")]
    return chosen[-1].split("+") if chosen else []


def declared(name: str, key: str) -> Any:
    """What the file of an experiment itself says of ``key``, at its top; None where it says nothing."""
    tree = OmegaConf.to_container(OmegaConf.load(folder() / "exp" / f"{name}.yaml"))
    assert isinstance(tree, dict)
    return tree.get(key)


def resolve(tree: DictConfig) -> dict[str, Any]:
    """Plain nested types with every interpolation filled in.

    Raises:
        UserError: a mandatory value (``???``) is missing or an interpolation points nowhere.
    """
    try:
        missing = sorted(OmegaConf.missing_keys(tree))
        if missing:
            raise UserError(f"{missing[0]} has no value yet; give one: {missing[0]}=VALUE")
        plain = OmegaConf.to_container(tree, resolve=True)
    except OmegaConfBaseException as error:
        raise UserError(f"the configuration does not resolve: {str(error).splitlines()[0]}") from error
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def flatten(tree: Any, prefix: str = "") -> dict[str, Any]:
    """Leaves of a nested tree by dotted key; lists are leaves."""
    if isinstance(tree, DictConfig):
        tree = OmegaConf.to_container(tree, resolve=False)
    if not isinstance(tree, Mapping) or not tree:
        return {prefix: tree}
    leaves: dict[str, Any] = {}
    for key, value in tree.items():
        leaves.update(flatten(value, f"{prefix}.{key}" if prefix else str(key)))
    return leaves


def difference(one: DictConfig, other: DictConfig) -> dict[str, tuple[Any, Any]]:
    """Keys in which two unresolved configurations differ, with both values; ``None`` where one lacks the key.

    Unresolved, so that one changed value is one difference however many places refer to it. What is said
    about the experiment and changes nothing in it (`ABOUT`) does not count.
    """
    left, right = flatten(one), flatten(other)
    return {
        key: (left.get(key), right.get(key))
        for key in sorted({*left, *right})
        if left.get(key) != right.get(key) and key.split(".")[0] not in ABOUT
    }


def _literal(text: str) -> str:
    """``key=value`` with the value quoted where Hydra's grammar would trip over it, as over a file's name."""
    with suppress(HydraException):
        if not OverridesParser.create().parse_override(text).is_sweep_override():
            return text
    key, equals, value = text.partition("=")
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"{key}='{quoted}'" if equals else text


def _check_variants(overrides: Sequence[str], known: Mapping[str, Sequence[str]]) -> None:
    """Parse the overrides; a group's variant must be one of its files."""
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        bad = next((text for text in overrides if "=" not in text), overrides[0])
        raise UserError(f"'{bad}' is no setting; write key=value, for example exp=tiny") from error
    for override in parsed:
        chosen = override.value()
        if override.key_or_group not in known:
            continue
        variants = known[override.key_or_group]
        for variant in chosen if isinstance(chosen, list) else [chosen]:
            if isinstance(variant, str) and variant not in variants:
                raise UserError(
                    f"{override.key_or_group}={variant}: there is no such variant{nearest(variant, variants)} "
                    f"({_listed(override.key_or_group, variants)})"
                )


def _listed(group: str, variants: Sequence[str]) -> str:
    """Few enough to be read, or the command that shows them."""
    return f"one of: {', '.join(variants)}" if len(variants) <= MOST_LISTED else f"dvface config list {group} shows all"


def _each_once(text: str, known: Mapping[str, Sequence[str]]) -> str:
    """``GROUP=[a,b]`` with each variant once, bundles replaced by what they hold: Hydra refuses a part chosen twice."""
    override = OverridesParser.create().parse_override(text)
    chosen = override.value()
    if override.key_or_group not in known or not isinstance(chosen, list):
        return text
    each = dict.fromkeys(name for variant in chosen for name in _unbundled(override.key_or_group, str(variant)))
    return f"{override.key_or_group}=[{','.join(each)}]"


def _unbundled(group: str, variant: str) -> list[str]:
    """The variants that ``variant``, a file with nothing but a list of others, stands for; else itself."""
    tree = OmegaConf.load(folder() / group / f"{variant}.yaml")
    held = list(tree["defaults"]) if isinstance(tree, DictConfig) and list(tree) == ["defaults"] else []
    if not held or not all(isinstance(name, str) for name in held):
        return [variant]
    return [name for bundled in held for name in _unbundled(group, str(bundled))]


def _sentence(error: Exception, command: str, overrides: Sequence[str]) -> str:
    """What the user can do about an error of Hydra's or OmegaConf's."""
    text = str(error)
    match = re.search(r"Could not (?:override|append to config)[^']*'([^']+)'", text)
    if match:
        key = match.group(1)
        # Another command's group is a key that this one does not know.
        known = groups().keys() - {key}
        chosen = [text for text in overrides if text.partition("=")[0] in known]
        keys = list(flatten(load(command, chosen)))  # of the variants that were chosen
        parents = {".".join(name.split(".")[:depth]) for name in keys for depth in range(1, name.count(".") + 1)}
        return f"unknown key '{key}'{nearest(key, [*keys, *parents, *sorted(known)])}"
    return f"the configuration does not compose: {' '.join(text.split())}"
