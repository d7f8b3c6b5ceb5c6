"""Random numbers of one part that do not depend on what the other parts are."""

from collections.abc import Mapping
from typing import Any

from dvface.seeding import derive_seed


class OwnStream:
    """Makes objects of a class; what they draw with torch on the CPU is a function of seed, place and count alone.

    Two configurations that differ in one part then start with the same numbers in all others.

    Args:
        made: the class.
        seed: of the whole tree.
        path: the dotted place of the class in it.
    """

    def __init__(self, made: type, seed: int, path: str) -> None:
        self.made = made
        self.seed = seed
        self.path = path
        self.count = 0  # a factory makes one for each block

    def __call__(self, *positional: Any, **arguments: Any) -> Any:
        """One object; torch's own generator is afterwards where it was."""
        import torch  # here, since commands that only compose configurations must not wait for it

        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(derive_seed(self.seed, self.path, self.count))
            self.count += 1
            return self.made(*positional, **arguments)


def with_streams(tree: Any, classes: Mapping[str, type], target: str, seed: int, path: str = "") -> Any:
    """The tree with an `OwnStream` in the place of each class's name.

    Args:
        tree: nested plain types.
        classes: dotted place to the class that is named there.
        target: the key that names classes.
        seed: of the whole tree.
        path: the dotted place of ``tree``.
    """
    if isinstance(tree, Mapping):
        inner = {
            key: with_streams(value, classes, target, seed, f"{path}.{key}" if path else str(key))
            for key, value in tree.items()
        }
        return {**inner, target: OwnStream(classes[path], seed, path)} if target in tree else inner
    if isinstance(tree, list | tuple):
        return [
            with_streams(value, classes, target, seed, f"{path}[{position}]") for position, value in enumerate(tree)
        ]
    return tree
