"""Faces through time: which face of one frame is which of the next, and landmarks without jitter."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dvface.perception.alignment import span
from dvface.perception.detection import Face

OUTLIER_WINDOW = 5  # frames; a landmark that jumps for one or two of them, at an end for one, is put back
OUTLIER = 6  # median distances from the local line, beyond which a landmark has jumped; 12 % of mere jitter does too
WIDTHS = 3  # standard deviations at which the Gaussian is cut


@dataclass(frozen=True)
class Sighting:
    """A track in one frame.

    Attributes:
        track: its number, counted from 0 and never used twice.
        face: where it was last seen.
        seen: whether that is in this frame.
    """

    track: int
    face: Face
    seen: bool


class Tracker:
    """Follows faces from frame to frame by place and size.

    A face continues the track whose last face is nearest, pairs nearest first. Distances are measured between the
    means of the landmarks, in spans (`dvface.perception.alignment.span`), so that they mean the same for a face near
    the camera and one far away.

    Args:
        most_step: distance, in spans, beyond which a face is another one.
        most_growth: ratio of spans beyond which a face is another one.
        most_missed: frames in a row in which a face may be missed before its track ends.
        most_faces: so many tracks at most, those of the largest faces; others start no track.
    """

    def __init__(self, most_step: float, most_growth: float, most_missed: int, most_faces: int) -> None:
        self.most_step, self.most_growth = most_step, most_growth
        self.most_missed, self.most_faces = most_missed, most_faces
        self._open: dict[int, tuple[Face, int]] = {}
        self._next = 0

    def cut(self) -> None:
        """End all tracks: the next frame belongs to another scene."""
        self._open.clear()

    def update(self, faces: Sequence[Face]) -> list[Sighting]:
        """The tracks that go on or begin in the next frame; one that is missing here has ended.

        Args:
            faces: of the next frame, largest first.
        """
        before = self._open
        matched = self._match(faces)
        self._open = {number: (faces[place], 0) for number, place in matched.items()}
        for number, (face, missed) in before.items():
            if number not in matched and missed < self.most_missed:
                self._open[number] = (face, missed + 1)
        for place in range(len(faces)):
            if place not in matched.values() and len(self._open) < self.most_faces:
                self._open[self._next] = (faces[place], 0)
                self._next += 1
        return [Sighting(number, face, not missed) for number, (face, missed) in sorted(self._open.items())]

    def _match(self, faces: Sequence[Face]) -> dict[int, int]:
        """Track number -> place in ``faces``."""
        if not faces or not self._open:
            return {}
        numbers = list(self._open)
        old, new = (
            np.stack([face.landmarks for face in group]).astype(float)
            for group in ([self._open[number][0] for number in numbers], faces)
        )
        spans = span(old), span(new)
        growth = np.abs(np.log(spans[0][:, None] / spans[1][None]))
        steps = np.linalg.norm(old.mean(1)[:, None] - new.mean(1)[None], axis=-1) / spans[0][:, None]
        steps[growth > np.log(self.most_growth)] = np.inf
        matched: dict[int, int] = {}
        taken: set[int] = set()
        for flat in np.argsort(steps, axis=None, kind="stable"):
            row, column = divmod(int(flat), len(faces))
            if steps[row, column] > self.most_step:
                break
            if numbers[row] not in matched and column not in taken:
                matched[numbers[row]] = column
                taken.add(column)
        return matched


def fill_missed(points: NDArray[np.floating], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
    """``points`` (T, …) with those of unseen frames on a straight line between their seen neighbours.

    Args:
        points: one value or more a frame; those of unseen frames are not looked at.
        seen: (T,); the ends are held where they were not seen.

    Raises:
        ValueError: no frame was seen.
    """
    if not seen.any():
        raise ValueError("no frame in which the face was seen")
    known, frames = np.flatnonzero(seen), np.arange(len(points))
    flat = points.reshape(len(points), -1).astype(float)
    filled = [np.interp(frames, known, column[known]) for column in flat.T]
    return np.stack(filled, axis=1).reshape(points.shape)


def context(sigma: float) -> int:
    """Frames before and after a frame that `smooth` looks at."""
    return round(WIDTHS * sigma) + OUTLIER_WINDOW // 2 if sigma else 0


def smooth(points: NDArray[np.floating], sigma: float) -> NDArray[np.float64]:
    """``points`` (T, …) over time: jumps are put back (`_without_jumps`), then a straight line is fitted around each
    frame with a Gaussian's weights (local linear regression, Cleveland 1979).

    Where as many frames lie before as after, that is the Gaussian's mean. Near the ends the line follows a face in
    steady motion, which a mean would hold back.

    Args:
        points: one value or more a frame.
        sigma: of the Gaussian, in frames; DicFace and KEEP smooth with 5. 0 leaves the points as they are.
    """
    values = points.reshape(len(points), -1).astype(float)
    if not sigma or len(values) < 2:
        return values.reshape(points.shape)
    radius = round(WIDTHS * sigma)
    offsets = np.arange(-radius, radius + 1)
    places = np.arange(len(values))[:, None] + offsets
    within = (places >= 0) & (places < len(values))
    weights = np.where(within, np.exp(-0.5 * (offsets / sigma) ** 2), 0)
    weights /= weights.sum(1, keepdims=True)
    # The line's height at the frame itself: weights about their own middle, tilted so that a slope adds nothing.
    middle = weights @ offsets
    apart = offsets - middle[:, None]
    spread = (weights * apart**2).sum(1)
    weights *= 1 - apart * np.divide(middle, spread, out=np.zeros_like(middle), where=spread > 0)[:, None]
    around = _without_jumps(values)[places.clip(0, len(values) - 1)]
    return np.einsum("tw,twc->tc", weights, around).reshape(points.shape)


def _without_jumps(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(T, C), T at least 2: values far from the line through the five frames around them are put on it.

    The line's slope is the median of those between any two of the frames (Theil 1950, Sen 1968), and far is measured
    in median distances from it (Hampel's rule), so that a fast nod stays. At the ends the first or last five are
    taken.
    """
    size = min(OUTLIER_WINDOW, len(values))
    first = np.clip(np.arange(len(values)) - OUTLIER_WINDOW // 2, 0, len(values) - size)
    places = first[:, None] + np.arange(size)
    near = values[places]
    one, other = np.triu_indices(size, 1)
    slope = np.median((near[:, other] - near[:, one]) / (other - one)[:, None], axis=1, keepdims=True)
    heights = near - slope * (places - np.arange(len(values))[:, None])[..., None]
    line = np.median(heights, axis=1)
    distance = np.median(np.abs(heights - line[:, None]), axis=1)
    return np.where(np.abs(values - line) > OUTLIER * distance, line, values)
