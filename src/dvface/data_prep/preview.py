"""A picture of what a recipe does."""

from pathlib import Path

import cv2
import numpy as np

from dvface.data.pairing import Degradation, degrade_once
from dvface.data.shards import PREVIEW
from dvface.data_prep.plan import Footage
from dvface.perception.faces import DlibFaces
from dvface.report.panels import contact_sheet, write_png

DRAWS = 8
COLUMNS = 3
FRAMES = 9  # enough for a codec to predict one frame from others
LEAST_WIDTH, MOST_WIDTH = 256, 512  # pixels of a panel


def write_preview(folder: Path, footage: Footage, recipe: Degradation, seed: int) -> Path:
    """Write ``preview.png``: the face in the middle frame of the first clip, clean and degraded by eight draws.

    Whole frames are degraded; the picture shows the largest face with its surroundings, or the middle where no
    face is found.

    Args:
        folder: the data set's.
        footage: whose first clip is shown.
        recipe: what degrades it.
        seed: of the draws, whose keys are ``preview-0`` to ``preview-7``.

    Returns:
        The picture's path.

    Raises:
        UserError: no clip can be read.
    """
    clean = footage.excerpt(FRAMES)
    middle = len(clean) // 2
    top, left, side = _around_face(clean[middle])
    panels = {"clean": clean[middle]}
    for draw in range(DRAWS):
        degraded, _ = degrade_once(recipe, clean, seed, f"preview-{draw}")
        panels[f"draw {draw}"] = degraded[middle]
    named = [(name, _shown(frame[top : top + side, left : left + side])) for name, frame in panels.items()]
    rows = [dict(named[at : at + COLUMNS]) for at in range(0, len(named), COLUMNS)]
    write_png(folder / PREVIEW, contact_sheet(rows, scale=max(1, LEAST_WIDTH // side)))
    return folder / PREVIEW


def _around_face(frame: np.ndarray) -> tuple[int, int, int]:
    """Top, left and side of the square that is shown of an (H, W, 3) uint8 frame."""
    height, width = frame.shape[:2]
    found = DlibFaces().detect(np.ascontiguousarray(frame))
    if not found:
        side = min(height, width)
        return (height - side) // 2, (width - side) // 2, side
    box = found[0]
    side = min(height, width, 2 * max(box.right - box.left, box.bottom - box.top))
    top, left = ((low + high - side) // 2 for low, high in ((box.top, box.bottom), (box.left, box.right)))
    return min(max(0, top), height - side), min(max(0, left), width - side), side


def _shown(square: np.ndarray) -> np.ndarray:
    if len(square) <= MOST_WIDTH:
        return square
    return cv2.resize(square, (MOST_WIDTH, MOST_WIDTH), interpolation=cv2.INTER_AREA)
