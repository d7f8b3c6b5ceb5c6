"""A picture of what a recipe does."""

from pathlib import Path

from dvface.data.pairing import Degradation, degrade_once
from dvface.data.shards import PREVIEW
from dvface.data_prep.plan import Footage
from dvface.report.panels import contact_sheet, write_png

DRAWS = 8
COLUMNS = 3
FRAMES = 9  # enough for a codec to predict one frame from others
LEAST_WIDTH = 256  # pixels of a panel


def write_preview(folder: Path, footage: Footage, recipe: Degradation, seed: int) -> Path:
    """Write ``preview.png``: the middle frame of the first clip, clean and degraded by eight draws.

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
    panels = {"clean": clean[middle]}
    for draw in range(DRAWS):
        degraded, _ = degrade_once(recipe, clean, seed, f"preview-{draw}")
        panels[f"draw {draw}"] = degraded[middle]
    named = list(panels.items())
    rows = [dict(named[at : at + COLUMNS]) for at in range(0, len(named), COLUMNS)]
    write_png(folder / PREVIEW, contact_sheet(rows, scale=max(1, LEAST_WIDTH // clean.shape[2])))
    return folder / PREVIEW
