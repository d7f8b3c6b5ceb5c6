"""Before and after in one pass over both files: what the page measures, and the video that its player shows."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from dvface.app.engine import Watch
from dvface.metrics.base import MeanMetric
from dvface.metrics.flicker import FrameDifferenceError
from dvface.metrics.niqe import NIQE
from dvface.metrics.segment import FRAMES, Segment
from dvface.video.read import read_frames
from dvface.video.write import write_video

LONGEST = 960
"""Pixels of one side's longest edge in the player; both sides of it are within what telephones decode."""
SMALL = 480
"""Below this many pixels frames are doubled: 4:2:0 halves the colour's size, which small frames would show."""
NATURALNESS_FRAMES = 16
"""NIQE takes about as long as a small network, so it sees so many frames of each side, evenly spread."""
ENCODING = {"crf": "15", "preset": "veryfast", "g": "15", "movflags": "+faststart"}
"""A key frame often, so that seeking to a frame is fast."""


@dataclass(frozen=True)
class Measure:
    """One number of each side.

    Attributes:
        name: in plain words.
        before: of the input; None where the number compares the two or could not be had.
        after: of the restored video; None where it could not be had.
        unit: behind the number.
        explanation: a sentence: what it is and which way is better.
    """

    name: str
    before: float | None
    after: float | None
    unit: str
    explanation: str


@dataclass(frozen=True)
class Comparison:
    """What `compare` found.

    Attributes:
        frames: frames that both files have.
        width: of one side of the player's video, pixels.
        height: of it.
        rate: of it, frames a second.
        measures: in the order of the page.
    """

    frames: int
    width: int
    height: int
    rate: Fraction
    measures: tuple[Measure, ...]


def compare(before: Path, after: Path, pair: Path, frames: int, rate: Fraction, watch: Watch) -> Comparison:
    """Measure ``before`` and ``after`` and write them side by side, input left, at constant memory.

    Args:
        before: the input video.
        after: the restored one, of the same size.
        pair: the .mp4 to write; both sides are scaled alike so that they fit `LONGEST`.
        frames: how many are expected; decides which ones the naturalness is measured on.
        rate: frames a second of ``pair``.
        watch: told of each frame.

    Raises:
        UserError: a file cannot be read.
        ValueError: the files differ in size.
    """
    numbers = _Numbers(spacing=max(1, frames // NATURALNESS_FRAMES))
    shown: list[tuple[int, int]] = []

    def pictures() -> Iterator[np.ndarray]:
        with watch("Measure and compare", frames, 0) as counter:
            for one, other in numbers.noted(zip(read_frames(before), read_frames(after), strict=False)):
                size = shown_size(one.shape[1], one.shape[0])
                shown[:] = [size]
                yield np.concatenate([_scaled(one, size), _scaled(other, size)], axis=1)
                counter.advance()

    write_video(pair, pictures(), rate, options=ENCODING)
    width, height = shown[0]
    return Comparison(numbers.frames, width, height, rate, numbers.measures())


def shown_size(width: int, height: int) -> tuple[int, int]:
    """(width, height) of one side in the player: even, of the same shape, at most `LONGEST`."""
    longest = max(width, height)
    scale = min(LONGEST / longest, 2.0 if longest < SMALL else 1.0)
    return max(2, round(width * scale / 2) * 2), max(2, round(height * scale / 2) * 2)


def _scaled(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if (frame.shape[1], frame.shape[0]) == size:
        return frame
    shrinks = size[0] < frame.shape[1]
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC)


class _Numbers:
    """Sums over pairs of frames, a segment at a time."""

    def __init__(self, spacing: int) -> None:
        self.frames = 0
        self._spacing = spacing
        self._held: list[tuple[np.ndarray, np.ndarray]] = []
        self._flicker = FrameDifferenceError()
        self._niqe = NIQE("niqe_vbliinds", pristine="vbliinds")
        self._last: dict[str, Segment] = {}
        self._steps: dict[str, list[Tensor]] = {"before": [], "after": []}
        self._naturalness: dict[str, list[Tensor]] = {"before": [], "after": []}
        self._change = 0.0

    def noted(self, pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The same pairs; each is measured on its way."""
        for one, other in pairs:
            if one.shape != other.shape:
                raise ValueError(f"frames before and after differ in size: {one.shape} and {other.shape}")
            self._held.append((one, other))
            self._change += float(np.abs(one.astype(np.int16) - other).mean())
            if self.frames % self._spacing == 0:
                self._look_at(one, other)
            self.frames += 1
            if len(self._held) == FRAMES:
                self._step()
            yield one, other
        if self._held:
            self._step()

    def _look_at(self, *sides: np.ndarray) -> None:
        for key, frame in zip(self._naturalness, sides, strict=True):
            self._naturalness[key].append(self._niqe.look(Segment(_tensor([frame]), None)))

    def _step(self) -> None:
        for key, frames in zip(self._steps, zip(*self._held, strict=True), strict=True):
            clip = _tensor(list(frames))
            # against a clip that stands still, the measure is the mean change from frame to frame
            self._last[key] = segment = Segment(clip, torch.zeros_like(clip), self._last.get(key))
            self._steps[key].append(self._flicker.look(segment))
        self._held.clear()

    def measures(self) -> tuple[Measure, ...]:
        """What was found."""
        looked = len(self._naturalness["before"])
        return (
            Measure(
                "Change from frame to frame",
                _mean(self._steps["before"], 100),
                _mean(self._steps["after"], 100),
                "%",
                "How much a pixel changes between two frames, of black to white. Motion counts too and is the same on "
                "both sides, so a higher number after restoring points to flicker, a lower one to less noise.",
            ),
            Measure(
                "Unnaturalness (NIQE)",
                _mean(self._naturalness["before"], 1),
                _mean(self._naturalness["after"], 1),
                "",
                f"How far the texture is from that of clean video frames, on {looked} frames; 0 is natural, lower is "
                "better. Small or flat pictures have no number.",
            ),
            Measure(
                "Change made to the input",
                None,
                100 * self._change / self.frames / 255 if self.frames else None,
                "%",
                "How much a pixel was changed on average, of black to white. It says how strong the restoration is, "
                "not how good.",
            ),
        )


def _tensor(frames: list[np.ndarray]) -> Tensor:
    """(N, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.stack(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


def _mean(evidence: list[Tensor], times: float) -> float | None:
    if not evidence:
        return None
    value = float(MeanMetric.of_clip(torch.cat(evidence))) * times
    return value if np.isfinite(value) else None
