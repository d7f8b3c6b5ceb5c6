"""Which way a clip is restored: as the user says, or by a look at it."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from dvface.inference.clips import ClipRestorer
from dvface.inference.faces.find import find_faces
from dvface.inference.faces.found import Faces
from dvface.inference.faces.masks import EllipseMask, FaceOvalMask
from dvface.inference.faces.mode import choose_mode
from dvface.inference.faces.restore import FacesRestorer
from dvface.inference.options import Advancing, RestoreOptions, Watch
from dvface.inference.views import Blended, SideBySide, SplitScreen, Unchanged
from dvface.inference.whole import TiledPicture, WholePicture
from dvface.models.restorer import Restorer
from dvface.perception.detection import FaceDetector
from dvface.perception.facemesh import FaceMesh


@dataclass(frozen=True)
class Choice:
    """How a clip is restored.

    Attributes:
        mode: ``aligned``, ``faces``, ``frame``, or ``none``: there is no face, the clip passes through.
        reason: a sentence on why.
        faces: what was found; None where nobody looked.
    """

    mode: str
    reason: str
    faces: Faces | None


def decide(
    frames: Callable[[], Iterable[np.ndarray]],
    count: int | None,
    options: RestoreOptions,
    detector: Callable[[], FaceDetector],
    kept: Path | None,
    watch: Watch,
) -> Choice:
    """How a clip is restored; looks for faces where the mode is ``auto`` or ``faces``.

    Args:
        frames: opens the clip: (H, W, 3) uint8 or uint16 RGB.
        count: how many there are, if known.
        options: what the user chose.
        detector: opens the detector.
        kept: a file of faces that an earlier look left, or that this one leaves.
        watch: told of the look.
    """
    if options.mode in ("aligned", "frame"):
        return Choice(options.mode, "as chosen", None)
    if kept is not None and kept.exists():
        faces = Faces.read(kept)
    else:
        with watch("look for faces", count, 0) as bar:
            faces = find_faces(_seen(frames(), bar), detector())
        if kept is not None:
            faces.write(kept)
    if options.mode == "faces":
        if faces.tracks:
            return Choice("faces", "as chosen", faces)
        return Choice("none", "no face was found: the clip passes through as it is", faces)
    height, width = next(iter(frames())).shape[:2]
    return Choice(*choose_mode(faces, width, height), faces)


def _seen(frames: Iterable[np.ndarray], bar: Advancing) -> Iterator[np.ndarray]:
    """Frames in 8 bits, as detectors want them."""
    for frame in frames:
        yield frame if frame.dtype == np.uint8 else (frame >> 8).astype(np.uint8)
        bar.advance()


def assembled(model: Restorer, choice: Choice, options: RestoreOptions) -> ClipRestorer:
    """The chosen restoration, mixed with its input and shown as the options say."""
    restorer = _bare(model, choice, options)
    if options.fidelity:
        restorer = Blended(restorer, options.fidelity)
    if options.export == "side_by_side":
        return SideBySide(restorer)
    if options.export == "split":
        return SplitScreen(restorer)
    return restorer


def _bare(model: Restorer, choice: Choice, options: RestoreOptions) -> ClipRestorer:
    if choice.mode == "none":
        return Unchanged()
    if choice.mode == "faces":
        assert choice.faces is not None
        mask = FaceOvalMask(FaceMesh()) if options.mask == "outline" else EllipseMask()
        return FacesRestorer(model, choice.faces, mask=mask)
    if choice.mode == "frame":
        return TiledPicture(model, options.tile, options.tile_overlap)
    return WholePicture(model)
