"""From a configuration tree to objects, through Hydra's ``instantiate``, behind an allow-list."""

import json
from collections.abc import Iterator, Mapping
from importlib import import_module
from typing import Any

from dvface.config.streams import with_streams
from dvface.errors import UserError, nearest

TARGET = "_target_"


def targets(tree: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every node that names a class, with its dotted path, outer nodes first."""
    if isinstance(tree, Mapping):
        if TARGET in tree:
            yield path, tree
        for key, value in tree.items():
            yield from targets(value, f"{path}.{key}" if path else str(key))
    elif isinstance(tree, list | tuple):
        for position, value in enumerate(tree):
            yield from targets(value, f"{path}[{position}]")


def find_class(name: str, path: str, allowed: str = "dvface.", base: type = object) -> type:
    """The class that ``name`` names. Functions are refused: one may write files, a class only builds itself.

    Args:
        name: a dotted path.
        path: the key where it stands, for the message.
        allowed: the prefix that the name, and the module that defines the class, must have: a configuration must
            not be able to call anything else.
        base: what the class must be derived from.

    Raises:
        UserError: it is outside ``allowed``, no class, of another kind, or does not exist.
    """
    module_name, _, attribute = name.rpartition(".")
    if not name.startswith(allowed):
        raise UserError(f"{path}._target_={name}: only classes below {allowed}* may be named")
    try:
        module = import_module(module_name)
    except ModuleNotFoundError as error:
        raise UserError(f"{path}._target_={name}: there is no module {error.name}") from error
    found = getattr(module, attribute, None)
    if found is None or not str(getattr(found, "__module__", "")).startswith(allowed):
        raise UserError(f"{path}._target_={name}: {module_name} has no such class{nearest(attribute, dir(module))}")
    if not isinstance(found, type) or not issubclass(found, base):
        kind = "class" if base is object else f"{base.__name__}"
        raise UserError(f"{path}._target_={name}: only a {kind} may be named here")
    return found


def build(tree: Mapping[str, Any], allowed: str = "dvface.", base: type = object, seed: int | None = None) -> Any:
    """Build the object that ``tree`` describes.

    Args:
        tree: nested plain types; ``_target_`` names a class, ``_partial_`` makes a factory, other keys are its
            arguments.
        allowed: see `find_class`.
        base: see `find_class`; of every class in the tree.
        seed: gives every part a random stream of its own, by its place in the tree; None: all draw from torch's.

    Raises:
        UserError: a target is not allowed or missing, or a constructor refuses its arguments; the message is
            the constructor's own.
    """
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    classes = {path: find_class(str(node[TARGET]), path or "(root)", allowed, base) for path, node in targets(tree)}
    if "${" in json.dumps(tree, default=str):
        # Hydra would resolve it, and resolvers read the environment.
        raise UserError("a part's description still has an interpolation '${…}' in it; resolve it first")
    parts = dict(tree) if seed is None else with_streams(tree, classes, TARGET, seed)
    try:
        return instantiate(parts, _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, ValueError | TypeError | RuntimeError | ArithmeticError | AssertionError):
            what = str(cause).splitlines()[0] if str(cause) else type(cause).__name__
            raise UserError(f"{tree.get(TARGET, '')!s}: {what}") from error
        if cause is not None:
            raise cause from error
        raise
