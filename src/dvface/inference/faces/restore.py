"""The second pass: every face of a window through the model, and back into its place."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from dvface.inference.clips import to_unit
from dvface.inference.faces.found import Faces, FaceTrack
from dvface.inference.faces.masks import SIDE, EllipseMask, Mask
from dvface.inference.faces.paste import blend, layer
from dvface.inference.whole import run_model
from dvface.models.restorer import Restorer
from dvface.perception.alignment import Matrix, span, to_template
from dvface.perception.patches import Patch, inside, render
from dvface.perception.tracks import smooth

LARGE_SHARE = 0.9  # quantile of a track's spans that its squares' size is chosen by
LEAST_INSIDE, ENOUGH_INSIDE = 0.35, 0.6  # share of a square within the picture: below the first nothing is pasted


@dataclass(frozen=True)
class _Run:
    """Frames of one track in a window.

    Attributes:
        start: first of them, counted from the window's first.
        matrices: (T, 2, 3) from the picture's pixels to the aligned square of side 1.
        landmarks: (T, 5, 2).
        strength: (T,) in [0, 1].
        size: of its squares, in pixels.
    """

    start: int
    matrices: Matrix
    landmarks: NDArray[np.float64]
    strength: NDArray[np.float64]
    size: int

    @property
    def stop(self) -> int:
        return self.start + len(self.matrices)


@dataclass(frozen=True)
class _Change:
    """What the model changed in a run: (T, S, S, 3) float16, and its masks (T, SIDE, SIDE), strength included."""

    run: _Run
    change: NDArray[np.float16]
    masks: NDArray[np.float32]


class FacesRestorer:
    """`ClipRestorer`: restores every face that was found, in its aligned square, and leaves the rest to the bit.

    What goes back into the picture is what the model changed, restored square minus input square, so that an identity
    changes nothing and the picture's own detail survives resampling. A window holds, beside its frames, what was
    changed: 27 MB for a face in squares of 512 pixels over 17 frames, 7 MB in squares of 256.

    Args:
        model: the trained model.
        faces: of the whole video, see `dvface.inference.faces.find.find_faces`.
        strength: share of the change that is added, in [0, 1].
        mask: draws where; `EllipseMask` by default.
        sizes: squares in pixels, ascending; a track has the smallest that its face is not larger than, else the
            largest.
        batch: runs of equal length and size that the model restores at once.
        fade: frames over which a face that appears or leaves within a scene is faded in or out.
        match_colour: whether the mean change of colour, which would show as a step at the mask's edge, is taken out.
        smoothing: of that mean over time, see `dvface.perception.tracks.smooth`.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        model: Restorer,
        faces: Faces,
        *,
        strength: float = 1.0,
        mask: Mask | None = None,
        sizes: Sequence[int] = (256, 512),
        batch: int = 2,
        fade: int = 5,
        match_colour: bool = True,
        smoothing: float = 5.0,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength={strength} must be in [0, 1]")
        if not sizes or list(sizes) != sorted(sizes) or sizes[0] < 1:
            raise ValueError(f"sizes={list(sizes)} must be pixels in ascending order")
        if batch < 1 or fade < 0:
            raise ValueError(f"batch={batch} must be at least 1 and fade={fade} at least 0")
        self.model = model.eval()
        self.temporal_stride = model.temporal_stride
        self.faces = faces
        self.strength = strength
        self.mask = mask or EllipseMask()
        self.batch, self.fade = batch, fade
        self.match_colour, self.smoothing = match_colour, smoothing
        self._sizes = [_size(track, sizes) for track in faces.tracks]

    def restore(self, frames: np.ndarray, first: int) -> np.ndarray:
        """See `ClipRestorer`."""
        restored = to_unit(frames)
        changes = list(self._changes(frames, first))
        height, width = frames.shape[1:3]
        for number, picture in enumerate(restored):
            here = [(change, number - change.run.start) for change in changes]
            here = [(change, place) for change, place in here if 0 <= place < len(change.masks)]
            layers = [
                layer(change.change[place].astype(np.float32), change.masks[place], matrix, width, height)
                for change, place in here
                for matrix in [change.run.matrices[place]]
            ]
            blend(picture, [one for one in layers if one is not None])
        return restored.clip(0, 1, out=restored)

    def _changes(self, frames: np.ndarray, first: int) -> Iterator[_Change]:
        """What the model changes in each track's squares, some runs at a time."""
        groups: dict[tuple[int, int], list[_Run]] = defaultdict(list)
        for run in self._runs(frames, first):
            padded = -(-(len(run.matrices) - 1) // self.temporal_stride)
            groups[run.size, padded].append(run)
        for (_, padded), runs in groups.items():
            length = padded * self.temporal_stride + 1
            for begin in range(0, len(runs), self.batch):
                some = runs[begin : begin + self.batch]
                squares = np.stack([_squares(frames, run, length) for run in some])
                restored = run_model(self.model, squares)
                for run, before, after in zip(some, squares, restored, strict=True):
                    count = len(run.matrices)
                    yield self._change(frames[run.start : run.stop], run, after[:count] - before[:count])

    def _change(self, frames: np.ndarray, run: _Run, change: NDArray[np.float32]) -> _Change:
        masks = self.mask.draw(list(frames), run.landmarks)
        if self.match_colour:
            change -= smooth(_means(change, masks), self.smoothing)[:, None, None].astype(np.float32)
        return _Change(run, change.astype(np.float16), masks * run.strength[:, None, None].astype(np.float32))

    def _runs(self, frames: np.ndarray, first: int) -> Iterator[_Run]:
        """The frames of each track that lie in the window, but for those in which nothing would be pasted."""
        for track, size in zip(self.faces.tracks, self._sizes, strict=True):
            start, stop = max(track.first, first), min(track.stop, first + len(frames))
            if start >= stop:
                continue
            landmarks = track.landmarks[start - track.first : stop - track.first]
            matrices = to_template(landmarks)
            shares = np.array([inside(_whole(frames[0]), matrix) for matrix in matrices])
            limits = ((shares - LEAST_INSIDE) / (ENOUGH_INSIDE - LEAST_INSIDE)).clip(0, 1)
            strength = self.strength * limits * self._fades(track, start, stop)
            if strength.any():
                yield _Run(start - first, matrices, landmarks, strength, size)

    def _fades(self, track: FaceTrack, start: int, stop: int) -> NDArray[np.float64]:
        """From almost 0 in a track's first frame to 1, and back to its last; not at its scene's own ends."""
        places, steps = np.arange(start, stop), self.fade + 1
        rising = np.inf if track.opens else (places - track.first + 1) / steps
        falling = np.inf if track.closes else (track.stop - places) / steps
        return np.asarray(np.minimum(np.minimum(rising, falling), np.ones(stop - start)))


def _size(track: FaceTrack, sizes: Sequence[int]) -> int:
    large = round(float(np.quantile(span(track.landmarks), LARGE_SHARE)))
    return next((size for size in sizes if size >= large), sizes[-1])


def _whole(frame: np.ndarray) -> Patch:
    """The frame as a patch of itself."""
    height, width = frame.shape[:2]
    return Patch(frame, 0, 0, 1, (width, height), (0, 0, width, height))


def _squares(frames: np.ndarray, run: _Run, length: int) -> NDArray[np.float32]:
    """(length, S, S, 3) in [0, 1]: the run's aligned squares, the last repeated; mirrored beyond the picture."""
    squares = np.empty((length, run.size, run.size, 3), np.float32)
    for place, matrix in enumerate(run.matrices):
        square = render(_whole(frames[run.start + place]), matrix, run.size)
        assert square is not None  # a patch that is the whole frame reaches everywhere
        squares[place] = to_unit(square)
    squares[len(run.matrices) :] = squares[len(run.matrices) - 1]
    return squares


def _means(change: NDArray[np.float32], masks: NDArray[np.float32]) -> NDArray[np.float64]:
    """(T, 3): mean over each mask."""
    small = [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for one in change]
    sums = np.einsum("thwc,thw->tc", np.stack(small), masks, dtype=np.float64)
    return np.asarray(sums / masks.sum(axis=(1, 2), dtype=np.float64).clip(1e-9)[:, None])
