"""What is refused before any work is done, and what is said when memory does not suffice."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from dvface.errors import UserError
from dvface.inference.options import RestoreOptions
from dvface.inference.whole import TiledPicture
from dvface.inference.windows import WindowedRestorer
from dvface.models.restorer import Restorer

_PICTURE = re.compile(r"\d{6,}\.png")
"""What a folder of pictures that was written here holds, and nothing else."""


def check_paths(source: Path, target: Path, overwrite: bool) -> None:
    """Refuse outputs that would harm the input or something else.

    Raises:
        UserError: the input is missing; the output is the input, lies within it or holds it, is there already, or is a
            folder of other things.
    """
    if not source.exists():
        raise UserError(f"input {source} does not exist; correct the path")
    origin, place = source.resolve(), target.resolve()
    if place == origin:
        raise UserError(f"output {target} is the input itself; name another file")
    if place.is_relative_to(origin):
        raise UserError(f"output {target} lies within the input folder {source}; name a place elsewhere")
    if target.is_dir():
        others = [file.name for file in target.iterdir() if target.suffix or not _PICTURE.fullmatch(file.name)]
        if others or origin.is_relative_to(place):
            raise UserError(
                f"output {target} is a folder that holds other things, such as {min(others, default=source.name)}; "
                f"name a file, such as {target / source.name}, or a folder that is empty"
            )
        if not any(target.iterdir()):
            return
    if target.exists() and not overwrite:
        raise UserError(f"output {target} is there already; name another, or say overwrite=true")


def check_windows(model: Restorer, options: RestoreOptions) -> None:
    """Refuse windows and tiles that do not fit the model.

    Raises:
        UserError: window, overlap or tile do not fit.
    """
    with windows_fit(options):
        WindowedRestorer(TiledPicture(model, options.tile, options.tile_overlap), options.window, options.overlap)


@contextmanager
def windows_fit(options: RestoreOptions) -> Iterator[None]:
    """Name the settings that were wrong.

    Raises:
        UserError: for every `ValueError` within.
    """
    try:
        yield
    except ValueError as error:
        raise UserError(
            f"window={options.window} overlap={options.overlap} tile={options.tile} "
            f"tile_overlap={options.tile_overlap}: {error}"
        ) from error


@contextmanager
def memory_suffices() -> Iterator[None]:
    """Say what to do where it does not.

    Raises:
        UserError: a window does not fit into memory.
    """
    advice = "this machine has too little memory for a window; say mode=frame with a smaller tile, or a smaller window"
    try:
        yield
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise UserError(advice) from error
    except RuntimeError as error:
        if "not enough memory" not in str(error):  # what PyTorch says of a processor's memory
            raise
        raise UserError(advice) from error
