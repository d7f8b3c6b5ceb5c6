"""Where the crop of a clip lies, frame by frame."""

from typing import Protocol

import numpy as np

from dvface.data_prep.prepare.filters.verdicts import above
from dvface.perception.alignment import span, to_template
from dvface.perception.patches import square_centre

SLACK = 0.15  # spans; landmarks as detected, by which patches are taken, differ from smoothed ones by less


class Crop(Protocol):
    """Places the crop of a clip."""

    @property
    def reach(self) -> float:
        """From the face's middle to each side of the patches that are kept, in spans."""
        ...

    def matrices(self, landmarks: np.ndarray) -> np.ndarray:
        """(T, 2, 3): pixels of the footage to the unit square of the crop.

        Args:
            landmarks: (T, 5, 2), smoothed.
        """
        ...

    def refusal(self, landmarks: np.ndarray) -> str | None:
        """Why the clip is refused, such as ``drift 0.44 is above most_drift=0.3``; None when it may stay.

        Args:
            landmarks: (T, 5, 2), smoothed.
        """
        ...


class Aligned:
    """The field's 512 template in every frame: eyes level and at one place, as aligned restorers want their input.

    Frames are turned and scaled by smoothed landmarks, so the background moves instead of the face.
    """

    @property
    def reach(self) -> float:
        """See `Crop.reach`; half the diagonal, for a head that lies on its side."""
        return np.sqrt(0.5) + SLACK

    def matrices(self, landmarks: np.ndarray) -> np.ndarray:
        """See `Crop.matrices`."""
        return to_template(landmarks)

    def refusal(self, landmarks: np.ndarray) -> str | None:
        """See `Crop.refusal`: None, for the crop goes wherever the face does."""
        return None


class Centred:
    """One upright square for the whole clip around all places of the face, as VFHQ's clips are cut: the head moves.

    Args:
        enlarge: the square's side in spans of the clip's largest face.
        most_drift: how far the face's middle may move from the square's, in the same spans; a clip with more is
            refused.
    """

    def __init__(self, enlarge: float, most_drift: float) -> None:
        if enlarge <= 0 or most_drift < 0:
            raise ValueError(f"enlarge={enlarge} must be above 0 and most_drift={most_drift} at least 0")
        self.enlarge, self.most_drift = enlarge, most_drift

    @property
    def reach(self) -> float:
        """See `Crop.reach`."""
        return self.enlarge / 2 + self.most_drift + SLACK

    def matrices(self, landmarks: np.ndarray) -> np.ndarray:
        """See `Crop.matrices`."""
        middle = _middle(square_centre(landmarks))
        side = self.enlarge * _largest(landmarks)
        one = np.array([[1 / side, 0, 0.5 - middle[0] / side], [0, 1 / side, 0.5 - middle[1] / side]])
        return np.broadcast_to(one, (len(landmarks), 2, 3))

    def refusal(self, landmarks: np.ndarray) -> str | None:
        """See `Crop.refusal`."""
        centres = square_centre(landmarks)
        drift = float(np.linalg.norm(centres - _middle(centres), axis=-1).max()) / _largest(landmarks)
        return above("drift", drift, self.most_drift, "most_drift")


def _middle(centres: np.ndarray) -> np.ndarray:
    """(2,): of the upright box around (T, 2)."""
    return np.asarray((centres.min(0) + centres.max(0)) / 2)


def _largest(landmarks: np.ndarray) -> float:
    """Span of the clip's largest face."""
    return float(np.max(span(landmarks)))
