"""Pictures and videos side by side, each under its label. Images: (H, W, 3) uint8 RGB."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dvface.files import whole_file

LARGEST_TEXT = 18
SMALLEST_TEXT = 7
MARGIN = 2


def side_by_side(frames: Mapping[str, np.ndarray], scale: int = 1) -> np.ndarray:
    """Panels in one row under a strip with their labels.

    Args:
        frames: label -> (H, W, 3) uint8, all of one size.
        scale: each pixel becomes scale × scale, so that small faces can be judged.

    Returns:
        (strip + scale·H, scale·W·panels, 3) uint8.

    Raises:
        ValueError: no panels, another type than uint8, or sizes that differ.
    """
    _check(frames, dimensions=3)
    panels = [_enlarged(frame, scale) for frame in frames.values()]
    return np.concatenate([_strip(list(frames), panels[0].shape[1]), np.concatenate(panels, axis=1)])


def contact_sheet(rows: Sequence[Mapping[str, np.ndarray]], scale: int = 1) -> np.ndarray:
    """Rows of `side_by_side` below one another; shorter rows are filled with black on the right."""
    images = [side_by_side(row, scale) for row in rows]
    width = max(image.shape[1] for image in images)
    return np.concatenate([np.pad(image, [(0, 0), (0, width - image.shape[1]), (0, 0)]) for image in images])


def labelled_video(videos: Mapping[str, np.ndarray]) -> Iterator[np.ndarray]:
    """Frames of videos side by side under their labels, of even height and width as encoders want them.

    Args:
        videos: label -> (T, H, W, 3) uint8, all of one shape.

    Raises:
        ValueError: no videos, another type than uint8, or shapes that differ.
    """
    _check(videos, dimensions=4)
    strip = _strip(list(videos), next(iter(videos.values())).shape[2])
    for frames in zip(*videos.values(), strict=True):
        image = np.concatenate([strip, np.concatenate(frames, axis=1)])
        height, width = image.shape[:2]
        yield np.pad(image, [(0, height % 2), (0, width % 2), (0, 0)], mode="edge")


def write_png(path: str | Path, image: np.ndarray) -> None:
    """Write (H, W, 3) uint8 as PNG; the file appears only when whole."""
    with whole_file(path) as temporary:
        Image.fromarray(image).save(temporary, format="PNG")


def _check(images: Mapping[str, np.ndarray], dimensions: int) -> None:
    shapes = {label: image.shape for label, image in images.items()}
    alike = len(set(shapes.values())) == 1
    if not alike or any(len(shape) != dimensions or shape[-1] != 3 for shape in shapes.values()):
        raise ValueError(f"panels must be of one size with 3 channels, got {shapes}")
    if any(image.dtype != np.uint8 for image in images.values()):
        raise ValueError("panels must be uint8")


def _enlarged(frame: np.ndarray, scale: int) -> np.ndarray:
    return frame.repeat(scale, axis=0).repeat(scale, axis=1)


def _strip(labels: Sequence[str], panel_width: int) -> np.ndarray:
    """White labels on black, each over the middle of its panel and cut at the panel's edge."""
    font = _fitting_font(labels, panel_width)
    ascent, descent = font.getmetrics()
    height = ascent + descent + 2 * MARGIN
    tiles = []
    for label in labels:
        tile = Image.new("RGB", (panel_width, height))
        left = max((panel_width - font.getlength(label)) / 2, 0)
        ImageDraw.Draw(tile).text((left, MARGIN), label, fill="white", font=font)
        tiles.append(np.asarray(tile))
    return np.concatenate(tiles, axis=1)


def _fitting_font(labels: Sequence[str], panel_width: int) -> ImageFont.FreeTypeFont:
    """The largest size at which every label fits its panel; below the smallest size nobody could read it."""
    for size in range(LARGEST_TEXT, SMALLEST_TEXT, -1):
        font = _font(size)
        if max(font.getlength(label) for label in labels) <= panel_width - 2 * MARGIN:
            return font
    return _font(SMALLEST_TEXT)


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow was built without FreeType and cannot draw text of a chosen size")
    return font
