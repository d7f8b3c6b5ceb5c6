"""A frame beside the clean one and a map of where they differ."""

import cv2
import numpy as np
from PIL import Image, ImageDraw

from dvface.report.panels import side_by_side

HIGHEST = 450  # pixels of a panel; with its label a picture stays below 480
LOWEST = 200  # panels are enlarged by whole factors up to about here, so that tiny frames can be seen
LARGEST_ERROR = 32  # 8-bit levels at the bright end of the map: fixed, so that maps can be compared
LEGEND = 44


def error_panel(restored: np.ndarray, clean: np.ndarray | None) -> np.ndarray:
    """Restored, clean and error side by side under their labels, with the error's scale; at most about 480 high.

    The error of a pixel is the mean over RGB of the absolute difference in 8-bit levels; brighter is larger, and all
    from 32 on looks alike. It is taken at full resolution; pictures too high are then made smaller by area averaging.

    Args:
        restored: (H, W, 3) uint8 RGB.
        clean: the same shape; None where there is none, which leaves the restored frame alone.

    Returns:
        (height, width, 3) uint8 RGB.

    Raises:
        ValueError: the shapes differ.
    """
    if clean is None:
        panels = {"restored": _shrunk(restored)}
        return side_by_side(panels, _scale(panels))
    if clean.shape != restored.shape:
        raise ValueError(f"restored is {restored.shape} and clean {clean.shape}")
    error = np.abs(restored.astype(np.float32) - clean.astype(np.float32)).mean(axis=2)
    panels = {
        "restored": _shrunk(restored),
        "clean": _shrunk(clean),
        "error (8-bit levels)": _coloured(_shrunk(error)),
    }
    picture = side_by_side(panels, _scale(panels))
    return np.concatenate([picture, _legend(len(picture))], axis=1)


def _shrunk(image: np.ndarray) -> np.ndarray:
    height, width = image.shape[:2]
    if height <= HIGHEST:
        return image
    return cv2.resize(image, (max(1, round(width * HIGHEST / height)), HIGHEST), interpolation=cv2.INTER_AREA)


def _scale(panels: dict[str, np.ndarray]) -> int:
    return max(1, LOWEST // next(iter(panels.values())).shape[0])


def _coloured(error: np.ndarray) -> np.ndarray:
    """(H, W) 8-bit levels -> (H, W, 3) uint8 RGB, from black over red to light yellow."""
    shares = np.clip(error / LARGEST_ERROR, 0, 1)
    return cv2.cvtColor(
        cv2.applyColorMap(np.rint(255 * shares).astype(np.uint8), cv2.COLORMAP_INFERNO), cv2.COLOR_BGR2RGB
    )


def _legend(height: int) -> np.ndarray:
    """(height, LEGEND, 3): the map's colours from 0 at the foot to the largest error, with their numbers."""
    top, bar = 14, max(height - 28, 1)
    colours = _coloured(np.linspace(LARGEST_ERROR, 0, bar)[:, None].repeat(10, axis=1))
    picture = np.zeros((height, LEGEND, 3), np.uint8)
    picture[top : top + bar, 4:14] = colours[: height - top]
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    for level in range(0, LARGEST_ERROR + 1, LARGEST_ERROR // 4):
        y = top + (bar - 1) * (1 - level / LARGEST_ERROR)
        draw.line([(14, y), (17, y)], fill="white")
        draw.text((19, y - 6), f"{level}+" if level == LARGEST_ERROR else str(level), fill="white")
    return np.asarray(image)
