"""Weights files are read as plain tensors: nothing in them is ever run."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from dvface.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor


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
