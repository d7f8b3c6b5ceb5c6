"""The one place where the page meets the restoring code."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

MODES: dict[str, str] = {
    "auto": "looks at the video and decides",
    "aligned": "the video is one cropped face",
    "faces": "finds every face and leaves the rest alone",
    "frame": "restores the whole picture",
}
"""Modes of restoring, each with half a sentence."""


class Advancing(Protocol):
    """Something to tell about work done."""

    def advance(self, units: int = 1) -> None:
        """``units`` more are done."""
        ...


Watch = Callable[[str, int | None, int], AbstractContextManager[Advancing]]
"""Called with a title, the units in all, if known, and those done before; told of each unit."""


class Report(Protocol):
    """What was done to a file; see `dvface.inference.options.RestoreReport`."""

    @property
    def mode(self) -> str: ...  # noqa: D102
    @property
    def reason(self) -> str: ...  # noqa: D102
    @property
    def frames(self) -> int: ...  # noqa: D102
    @property
    def faces(self) -> int | None: ...  # noqa: D102
    @property
    def notes(self) -> tuple[str, ...]: ...  # noqa: D102


class Engine(Protocol):
    """Restores files, one at a time.

    Attributes:
        name: of the checkpoint, as the page shows it.
    """

    name: str

    def restore(self, source: Path, target: Path, mode: str, fidelity: float, watch: Watch) -> Report:
        """Restore ``source`` into ``target``.

        Args:
            source: a video file.
            target: the file to write.
            mode: a key of `MODES`.
            fidelity: 0 is restored, 1 the input.
            watch: told of the progress; what it raises ends the work.

        Raises:
            UserError: the file cannot be restored.
        """
        ...


class ModelEngine:
    """`dvface.inference.restorer.Restorer` on the page.

    Args:
        checkpoint: a model folder.
        name: of it, as the page shows it.
        options: further fields of `dvface.inference.options.RestoreOptions`, such as ``window``.

    Raises:
        UserError: there is no such model, or it cannot be read.
    """

    def __init__(self, checkpoint: Path, name: str, **options: Any) -> None:
        from dvface.inference.restorer import Restorer

        self.name = name
        self._restorer = Restorer.from_pretrained(checkpoint)
        self._options = options

    def restore(self, source: Path, target: Path, mode: str, fidelity: float, watch: Watch) -> Report:
        """See `Engine.restore`."""
        return self._restorer.restore(source, target, watch=watch, mode=mode, fidelity=fidelity, **self._options)
