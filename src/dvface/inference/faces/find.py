"""The first look at a video: every face in every frame, followed through time."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from dvface.inference.faces.cuts import LEAST, Changes, find_cuts
from dvface.inference.faces.found import Faces, FaceTrack
from dvface.perception.alignment import span
from dvface.perception.detection import Face, FaceDetector
from dvface.perception.tracks import Tracker, context, fill_missed, smooth

PIECE = 2000  # frames smoothed at once; smoothing takes a kilobyte for each
DECIMALS = 3  # of a pixel: what JSON keeps


@dataclass(frozen=True)
class FindOptions:
    """How faces are found and followed.

    Attributes:
        every: faces are looked for in every so many frames, at both sides of every jump of the picture and in the last
            frame, and interpolated between. Movement that is faster than that is lost.
        batch: frames that the detector is given at once.
        smoothing: of landmarks, see `dvface.perception.tracks.smooth`; what crops for training are made with.
        most_step: see `Tracker`; the same number whatever ``every`` is, for faces far apart in time are no more alike.
        most_growth: see `Tracker`.
        most_missed: frames in a row in which a face may be missed before its track ends.
        most_faces: followed at once, the largest.
        least_frames: in fewer a face must not have been seen; where its scene or ``every`` leaves fewer looks, in all.
        least_span: side, in pixels, of the aligned square of the smallest face that is followed; a face is about
            half as wide. Smaller ones have nothing that could be restored.
    """

    every: int = 1
    batch: int = 4
    smoothing: float = 5.0
    most_step: float = 0.3
    most_growth: float = 1.4
    most_missed: int = 8
    most_faces: int = 16
    least_frames: int = 5
    least_span: float = 32.0

    def __post_init__(self) -> None:
        for name in ("every", "batch", "most_faces", "least_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}={getattr(self, name)} must be at least 1")


@dataclass
class _Sightings:
    """A track that is being followed: frames in which it was seen, and where."""

    frames: list[int]
    landmarks: list[NDArray[np.floating]]


def find_faces(
    frames: Iterable[NDArray[np.uint8]], detector: FaceDetector, options: FindOptions | None = None
) -> Faces:
    """Find and follow all faces of a video in one pass; of the frames only numbers are kept.

    Args:
        frames: (H, W, 3) uint8 RGB, all of one size.
        detector: finds faces in single frames.
        options: `FindOptions` by default.
    """
    options = options or FindOptions()
    looks, changes = _look(frames, detector, options)
    count = len(changes.one)
    looks, too_small = _without_small(looks, options.least_span)
    cuts = find_cuts(changes)
    tracks: list[FaceTrack] = []
    dropped = 0
    for start, stop in pairwise((0, *cuts, count)):
        scene = {number: faces for number, faces in looks.items() if start <= number < stop}
        least = min(options.least_frames, len(scene))
        for track in _follow(scene, options):
            if len(track.frames) < least:
                dropped += 1
            else:
                tracks.append(_settled(track, start, stop, options.smoothing))
    tracks.sort(key=lambda track: (track.first, -float(np.median(span(track.landmarks)))))
    return Faces(detector.name, count, tuple(cuts), tuple(tracks), dropped, too_small)


def _look(
    frames: Iterable[NDArray[np.uint8]], detector: FaceDetector, options: FindOptions
) -> tuple[dict[int, list[Face]], Changes]:
    """Faces by number of the frames looked at, in order, and how much frames change."""
    changes, looks = Changes(), dict[int, list[Face]]()
    waiting: dict[int, NDArray[np.uint8]] = {}

    def empty() -> None:
        if waiting:
            looks.update(zip(waiting, detector.detect(list(waiting.values())), strict=True))
            waiting.clear()

    number, before, due = -1, None, False
    for number, frame in enumerate(frames):
        jump = changes.add(frame) >= LEAST
        if jump and before is not None and not due:
            waiting[number - 1] = before
        due = jump or number % options.every == 0
        if due:
            waiting[number] = frame
        if len(waiting) >= options.batch:
            empty()
        before = frame
    if before is not None and not due:
        waiting[number] = before
    empty()
    return looks, changes


def _without_small(looks: dict[int, list[Face]], least: float) -> tuple[dict[int, list[Face]], int]:
    """The faces of at least that span, and how many others there were.

    Landmarks that coincide, as a detector may give them for what is no face, have no span.
    """
    kept = {number: [face for face in faces if _span(face) >= least] for number, faces in looks.items()}
    return kept, sum(len(looks[number]) - len(faces) for number, faces in kept.items())


def _span(face: Face) -> float:
    try:
        return float(span(face.landmarks))
    except ValueError:
        return 0.0


def _follow(scene: dict[int, list[Face]], options: FindOptions) -> Sequence[_Sightings]:
    """The tracks of one scene."""
    # a face may be missed at least once, however seldom one looks
    missed = max(1, round(options.most_missed / options.every)) if options.most_missed else 0
    tracker = Tracker(options.most_step, options.most_growth, missed, options.most_faces)
    tracks: dict[int, _Sightings] = {}
    for number, faces in scene.items():
        for sighting in tracker.update(faces):
            if sighting.seen:
                track = tracks.setdefault(sighting.track, _Sightings([], []))
                track.frames.append(number)
                track.landmarks.append(sighting.face.landmarks)
    return list(tracks.values())


def _settled(track: _Sightings, start: int, stop: int, smoothing: float) -> FaceTrack:
    """A track of the scene from ``start`` to ``stop`` as it is kept: without gaps and jitter."""
    first, last = track.frames[0], track.frames[-1]
    places = np.array(track.frames) - first
    seen = np.zeros(last - first + 1, bool)
    seen[places] = True
    landmarks = np.zeros((len(seen), 5, 2))
    landmarks[places] = track.landmarks
    landmarks = _smoothed(fill_missed(landmarks, seen), smoothing)
    return FaceTrack(first, landmarks.round(DECIMALS), seen, first == start, last == stop - 1)


def _smoothed(landmarks: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    """`smooth` piece by piece: the same numbers, for it looks no further than `context`."""
    reach = context(sigma)
    pieces = []
    for start in range(0, len(landmarks), PIECE):
        before = min(start, reach)
        near = smooth(landmarks[start - before : start + PIECE + reach], sigma)
        pieces.append(near[before : before + PIECE])
    return np.concatenate(pieces)
