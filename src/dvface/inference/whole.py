"""Restoring whole pictures: at once, or in tiles where they are large."""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dvface.inference.clips import to_unit
from dvface.models.restorer import Restorer


def run_model(model: Restorer, clips: np.ndarray) -> np.ndarray:
    """Clips of any length and size through the model, all paddings cut off again.

    A short end is padded by repeating the last frame, borders by replication to the size that the model needs.

    Args:
        model: in evaluation mode.
        clips: (B, T, H, W, 3) float32 in [0, 1].

    Returns:
        The same shape and range.
    """
    frames, height, width = clips.shape[1:4]
    stride, multiple = model.temporal_stride, model.spatial_multiple
    device = next(model.parameters()).device
    video: Tensor = torch.from_numpy(clips).to(device).permute(0, 4, 1, 2, 3) * 2 - 1
    padding = (0, -width % multiple, 0, -height % multiple, 0, -(frames - 1) % stride)
    with torch.inference_mode():
        restored = model(functional.pad(video, padding, mode="replicate"))
    restored = restored[:, :, :frames, :height, :width].float().clamp(-1, 1)
    return ((restored + 1) / 2).permute(0, 2, 3, 4, 1).cpu().numpy()


class WholePicture:
    """`ClipRestorer`: the whole picture at once, at its own size; for clips that show one aligned face.

    Args:
        model: the trained model.
    """

    def __init__(self, model: Restorer) -> None:
        self.model = model.eval()
        self.temporal_stride = model.temporal_stride

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """See `ClipRestorer`."""
        return run_model(self.model, to_unit(frames)[None])[0]


class TiledPicture:
    """`ClipRestorer`: the whole picture, where it is larger than a tile in tiles that are cross-faded.

    Args:
        model: the trained model.
        tile: largest height and width that the model sees, in pixels.
        overlap: pixels that neighbouring tiles share at least.

    Raises:
        ValueError: ``overlap`` is negative or not below half of ``tile``.
    """

    def __init__(self, model: Restorer, tile: int, overlap: int) -> None:
        if not 0 <= 2 * overlap < tile:
            raise ValueError(f"tile overlap {overlap} must be less than half the tile of {tile} pixels")
        self.model = model.eval()
        self.temporal_stride = model.temporal_stride
        self.tile = tile
        self.overlap = overlap

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """See `ClipRestorer`."""
        clip = to_unit(frames)
        restored = np.zeros_like(clip)
        rows, columns = (fades(length, self.tile, self.overlap) for length in clip.shape[1:3])
        for top, down in rows:
            for left, across in columns:
                place = np.s_[:, top : top + len(down), left : left + len(across)]
                weight = np.outer(down, across)[None, :, :, None]
                restored[place] += weight * run_model(self.model, np.ascontiguousarray(clip[place])[None])[0]
        return restored


def fades(length: int, tile: int, overlap: int) -> list[tuple[int, np.ndarray]]:
    """Where tiles lie along an axis, and their weights (float32), whose sum is 1 at every pixel.

    Tiles are spread evenly and rise and fall linearly over what they share.
    """
    if length <= tile:
        return [(0, np.ones(length, np.float32))]
    count = -(-(length - overlap) // (tile - overlap))
    starts = np.rint(np.linspace(0, length - tile, count)).astype(int)
    weights = np.zeros((count, length))
    for number, start in enumerate(starts):
        before = starts[number - 1] + tile - start if number else 0
        after = start + tile - starts[number + 1] if number < count - 1 else 0
        weight = np.ones(tile)
        weight[:before] = np.arange(1, before + 1) / (before + 1)
        weight[tile - after :] *= np.arange(after, 0, -1) / (after + 1)
        weights[number, start : start + tile] = weight
    weights /= weights.sum(axis=0)
    placed = zip(starts, weights, strict=True)
    return [(int(start), weight[start : start + tile].astype(np.float32)) for start, weight in placed]
