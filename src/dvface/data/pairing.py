"""How a training pair is made of a stored clip: degraded anew each time, degraded once and for all, or read."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from dvface.data.shards import CLEAN, DEGRADED
from dvface.errors import UserError
from dvface.seeding import derive_generator
from dvface.video.decode import ClipReader, open_clip, open_known

LISTED_AS = "__listed__"
"""Under this name a sample carries its line of the manifest."""


class Degradation(Protocol):
    """A recipe: (T, H, W, 3) float32 in [0, 1] to its degraded twin and the record that replays it."""

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        """The degraded clip and its record."""
        ...

    def describe(self) -> str:
        """One sentence with every number; two recipes that say the same do the same."""
        ...


def degrade_once(degradation: Degradation, clean: np.ndarray, seed: int, key: str) -> tuple[np.ndarray, dict[str, Any]]:
    """The one degraded twin of a clip: a pure function of the recipe, the seed and the clip's key.

    Args:
        degradation: the recipe.
        clean: (T, H, W, 3) uint8 RGB, the whole clip.
        seed: of the data set.
        key: of the clip.

    Returns:
        The twin, rounded to uint8, and the record that replays it.
    """
    rng = derive_generator(seed, "degradation", key)
    degraded, record = degradation(clean.astype(np.float32) / 255, rng)
    return as_bytes(degraded), record


def as_bytes(frames: np.ndarray) -> np.ndarray:
    """Float in [0, 1] to the nearest uint8."""
    return np.rint(frames * 255).astype(np.uint8)


@dataclass(frozen=True)
class Window:
    """The size of a training clip within a stored one.

    Attributes:
        frames: T.
        crop: height and width in pixels.
        context: pixels around the crop that are degraded with it and then cut away.
    """

    frames: int
    crop: int
    context: int

    def draw_start(self, available: int, rng: np.random.Generator) -> int:
        """The first frame, of a clip that has ``available``."""
        return int(rng.integers(max(1, available - self.frames + 1)))

    def draw_corner(self, clip: np.ndarray, rng: np.random.Generator) -> tuple[int, int]:
        """Top and left of the crop.

        Raises:
            UserError: the clip is smaller than the crop.
        """
        height, width = clip.shape[1:3]
        if min(height, width) < self.crop:
            raise UserError(f"it is {width}×{height}, a crop of {self.crop} is asked; lower the crop")
        return int(rng.integers(height - self.crop + 1)), int(rng.integers(width - self.crop + 1))


class Pairs(Protocol):
    """Makes one pair of one stored sample."""

    def check(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Refuse, by the manifest alone, clips of which no pair can be made.

        Raises:
            UserError: one sentence that names the first such clip.
        """
        ...

    def __call__(
        self, sample: Mapping[str, Any], degradation: Degradation, window: Window, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The clean and the degraded side.

        Args:
            sample: ``__key__`` and the encoded parts, see `dvface.data.shards.read_samples`, and under `LISTED_AS`
                what the manifest says of it, where that is known.
            degradation: the stage's recipe.
            window: the size of the pair.
            rng: decides where the window lies, and all else that changes from epoch to epoch.

        Returns:
            (T, crop, crop, 3) twice, uint8 or float32 in [0, 1].

        Raises:
            ValueError: the sample is damaged or too short.
            UserError: it is too small or lacks a side.
        """
        ...


class FreshCrops:
    """Cuts the window with its context and degrades that by a draw of its own in every epoch."""

    def check(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Every clip will do."""

    def __call__(
        self, sample: Mapping[str, Any], degradation: Degradation, window: Window, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Pairs`."""
        reader = open_side(sample, CLEAN)
        clip = reader.read(window.draw_start(len(reader), rng), window.frames)
        corner = window.draw_corner(clip, rng)
        around = tuple(slice(max(0, at - window.context), at + window.crop + window.context) for at in corner)
        inside = tuple(
            slice(at - part.start, at - part.start + window.crop) for at, part in zip(corner, around, strict=True)
        )
        clean = np.ascontiguousarray(clip[:, *around])
        degraded, _ = degradation(clean.astype(np.float32) / 255, rng)
        return clean[:, *inside], degraded[:, *inside]


class DrawnOnce:
    """Degrades the whole clip, always by the same draw: the pairs that `dvface degrade` would have stored.

    Args:
        seed: that of `dvface degrade`.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def check(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Every clip will do."""

    def __call__(
        self, sample: Mapping[str, Any], degradation: Degradation, window: Window, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Pairs`."""
        clean = read_whole(open_side(sample, CLEAN))
        if len(clean) < window.frames:
            raise ValueError(f"wanted {window.frames} frames, the video has {len(clean)} in all")
        degraded, _ = degrade_once(degradation, clean, self.seed, sample["__key__"])
        start = window.draw_start(len(clean), rng)
        part = slice(start, start + window.frames)
        return _cropped(clean[part], degraded[part], window, rng)


class Stored:
    """Reads the stored degraded side; the stage's recipe is not used."""

    def check(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Every clip needs a stored degraded side.

        Raises:
            UserError: a clip has none.
        """
        for entry in entries:
            if not entry.get("degraded_stored"):
                raise UserError(
                    f"clip {entry['key']} has no stored degraded side; make one with dvface degrade format=shards, "
                    "or say data=online"
                )

    def __call__(
        self, sample: Mapping[str, Any], degradation: Degradation, window: Window, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `Pairs`."""
        if DEGRADED not in sample:
            raise UserError(f"it has no {DEGRADED}; check the data set with dvface verify")
        reader = open_side(sample, CLEAN)
        start = window.draw_start(len(reader), rng)
        clean = reader.read(start, window.frames)
        degraded = open_side(sample, DEGRADED).read(start, window.frames)
        return _cropped(clean, degraded, window, rng)


def open_side(sample: Mapping[str, Any], part: str) -> ClipReader:
    """The reader of one side of a sample.

    What the manifest lists is checked against its SHA-256 there; size and length are then known without a look.

    Raises:
        ValueError: the data is not what the manifest lists, or no video.
    """
    data = sample[part]
    listed = sample.get(LISTED_AS, {})
    digest = listed.get(f"{part.split('.')[0]}_sha256")
    if digest is None:
        return open_clip(data)
    if hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"its {part} is not what the manifest lists")
    return open_known(data, listed["width"], listed["frames"])


def read_whole(reader: ClipReader) -> np.ndarray:
    """All frames, (T, H, W, 3) uint8."""
    return reader.read(0, len(reader))


def _cropped(
    clean: np.ndarray, degraded: np.ndarray, window: Window, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """The same crop of both sides."""
    top, left = window.draw_corner(clean, rng)
    crop = (slice(None), slice(top, top + window.crop), slice(left, left + window.crop))
    return clean[crop], degraded[crop]
