"""Where pretrained third-party files come from: explicit path, ``$DVFACE_WEIGHTS``, installed package."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvface.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

FOLDER_VARIABLE = "DVFACE_WEIGHTS"


def read_tensors(path: str | Path) -> "dict[str, Tensor]":
    """The named tensors of a weights file, on the CPU.

    Args:
        path: a ``.safetensors`` file, or whatever ``torch.load`` reads with ``weights_only=True``.

    Raises:
        UserError: the file is missing, unreadable or holds anything but named tensors.
    """
    import torch
    from safetensors.torch import load_file

    path = Path(path)
    if not path.is_file():
        raise UserError(f"weights file {path} does not exist; correct the path")
    state: Any
    try:
        if path.suffix == ".safetensors":
            state = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load names no common base for what a broken file may raise
        raise UserError(f"weights file {path} cannot be read; fetch it again") from error
    if not isinstance(state, dict) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise UserError(f"weights file {path} holds more than named tensors; give a plain state dict")
    return dict(state)


class WeightsMissing(Exception):
    """A pretrained file cannot be had; the message names it and says where it would have been looked for.

    Not a `UserError`: a measure whose network is missing is left out and said so; the command goes on.
    """


@dataclass(frozen=True)
class PackagedFile:
    """A file inside an installed distribution, found without importing the package."""

    package: str
    path: str

    def locate(self) -> Path | None:
        """The file's path, or None when the distribution is not installed or lacks the file."""
        try:
            found = Path(str(distribution(self.package).locate_file(self.path)))
        except PackageNotFoundError:
            return None
        return found if found.is_file() else None


@dataclass(frozen=True)
class Weights:
    """One pretrained file and the places where it may lie.

    Attributes:
        name: what the file is called in messages and tables.
        folder_names: paths below ``$DVFACE_WEIGHTS``, tried in order.
        packaged: the installed distribution that carries it, if any.
    """

    name: str
    folder_names: Sequence[str] = ()
    packaged: PackagedFile | None = None

    def find(self, explicit: str | Path | None = None) -> Path:
        """The file's path: ``explicit``, else below ``$DVFACE_WEIGHTS``, else in the installed package.

        Raises:
            UserError: ``explicit`` is given and does not exist.
            WeightsMissing: it lies in none of the places; the message lists them.
        """
        if explicit is not None:
            path = Path(explicit)
            if not path.is_file():
                raise UserError(f"weights file {path} ({self.name}) does not exist; correct the path")
            return path
        folder = os.environ.get(FOLDER_VARIABLE)
        if folder:
            for name in self.folder_names:
                path = Path(folder) / name
                if path.is_file():
                    return path
        if self.packaged:
            found = self.packaged.locate()
            if found:
                return found
        places = [f"${FOLDER_VARIABLE}/{name}" for name in self.folder_names]
        if self.packaged:
            places.append(f"the installed package {self.packaged.package}")
        raise WeightsMissing(f"{self.name} is not at hand (looked in: {', '.join(places)})")
