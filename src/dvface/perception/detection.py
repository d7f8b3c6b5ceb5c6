"""Where faces are: what every detector gives, and the first of several that this machine can run."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from dvface.weights import WeightsMissing


@dataclass(frozen=True)
class Face:
    """A face in a picture; coordinates are pixels, x to the right and y down, the first pixel's centre at 0.

    Attributes:
        box: (4,) float32: left, top, right, bottom.
        landmarks: (5, 2) float32 x, y: the eye at the picture's left, the eye at its right, tip of the nose, the
            mouth's left corner, its right corner.
        score: the detector's own confidence; detectors differ in scale.
    """

    box: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    score: float

    @property
    def side(self) -> float:
        """The longer side of the box."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


class FaceDetector(Protocol):
    """Finds faces and their five landmarks.

    Attributes:
        name: the network's, as manifests show it.
        files: names of the weights files.
    """

    name: str
    files: tuple[str, ...]

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """The faces of every frame, largest first.

        Args:
            frames: (H, W, 3) uint8 RGB, all of one size; looked at together.
        """
        ...


class FirstAvailable:
    """`FaceDetector`: the first of several whose weights are at hand.

    Args:
        detectors: factories by name, in order of preference.

    Raises:
        WeightsMissing: none can be had; the message says of each what is missing.
    """

    def __init__(self, detectors: dict[str, "partial[Any]"]) -> None:
        missing = []
        for factory in detectors.values():
            try:
                chosen: FaceDetector = factory()
            except WeightsMissing as error:
                missing.append(str(error))
                continue
            self._chosen = chosen
            self.name, self.files = chosen.name, chosen.files
            return
        raise WeightsMissing("; ".join(missing))

    def detect(self, frames: Sequence[NDArray[np.uint8]]) -> list[list[Face]]:
        """See `FaceDetector.detect`."""
        return self._chosen.detect(frames)
