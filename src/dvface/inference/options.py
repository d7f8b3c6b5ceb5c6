"""What a user may choose of a restoration, and what is said of one."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

from dvface.report.progress import Progress

Mode = Literal["auto", "aligned", "faces", "frame"]
MaskName = Literal["ellipse", "outline"]
Export = Literal["restored", "side_by_side", "split"]


@dataclass(frozen=True)
class RestoreOptions:
    """How a video is restored and written; ``conf/restore.yaml`` explains each key.

    Attributes:
        mode: ``aligned``: the clip is the crop of one face; ``faces``: find, follow and restore every face, leave the
            rest alone; ``frame``: the whole picture, in tiles; ``auto``: aligned or faces, by a look at the clip.
        fidelity: share of the input in the result, 0 to 1.
        export: the restoration, or it beside its input, or half of each.
        window: frames restored at once, 4k+1.
        overlap: frames that two windows share and cross-fade.
        tile: largest height and width that mode ``frame`` restores at once, in pixels.
        tile_overlap: pixels that tiles share and cross-fade.
        codec: of the file written, see `dvface.video.encodings`; None for the usual one of its container.
        quality: the codec's constant-quality number, lower is better; None for the codec's visually lossless one.
        bits: a colour sample of the file written, 8 or 10; None as the input where the codec can.
        rate: frames a second of a folder of pictures; a video has its own.
        mask: where a face's restoration is pasted: an ellipse in its aligned square, or the face's own outline.
        overwrite: whether an existing output is replaced.
    """

    mode: Mode = "auto"
    fidelity: float = 0.0
    export: Export = "restored"
    window: int = 17
    overlap: int = 4
    tile: int = 512
    tile_overlap: int = 64
    codec: str | None = None
    quality: int | None = None
    bits: int | None = None
    rate: float = 25.0
    mask: MaskName = "ellipse"
    overwrite: bool = False


@dataclass(frozen=True)
class RestoreReport:
    """What was done.

    Attributes:
        output: the file or folder written.
        mode: ``aligned``, ``faces``, ``frame``, or ``none`` where no face was found and the clip passed through.
        reason: a sentence on why that mode.
        frames: frames written.
        faces: faces followed, each on its own track; None where nobody looked.
        notes: sentences on what is not as in the input.
    """

    output: Path
    mode: str
    reason: str
    frames: int
    faces: int | None
    notes: tuple[str, ...]


class Advancing(Protocol):
    """Something to tell about work done."""

    def advance(self, units: int = 1) -> None:
        """``units`` more are done."""
        ...


Watch = Callable[[str, int | None, int], AbstractContextManager[Advancing]]
"""Called with a title, the units in all, if known, and the units that were done before; told of each unit."""


def progress(title: str, total: int | None, start: int) -> Progress:
    """The `Watch` of a terminal."""
    return Progress(title, total, start=start)


def silent(line: str) -> None:
    """Says nothing."""
