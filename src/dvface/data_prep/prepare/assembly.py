"""From frames with faces to clips of one face: a stream with bounded memory."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from dvface.data_prep.prepare.frames import RawFrame
from dvface.data_prep.prepare.picture_area import picture_area
from dvface.perception.detection import Face
from dvface.perception.patches import Patch, take_patch
from dvface.perception.tracks import Sighting, Tracker, context, fill_missed, smooth


@dataclass(frozen=True)
class Glimpse:
    """One frame of a track.

    Attributes:
        index: of the frame in the footage.
        seconds: when it is shown.
        face: where it is, or was last seen.
        seen: whether it was found in this frame.
        patch: its surroundings.
    """

    index: int
    seconds: float
    face: Face
    seen: bool
    patch: Patch


@dataclass(frozen=True)
class TrackClip:
    """Consecutive frames of one track, not cropped yet.

    Attributes:
        track: its number within the footage.
        glimpses: T of them.
        landmarks: (T, 5, 2) pixels of the footage, as detected; missed frames are filled in.
        smoothed: (T, 5, 2) the same without jitter.
    """

    track: int
    glimpses: Sequence[Glimpse]
    landmarks: np.ndarray
    smoothed: np.ndarray


@dataclass
class _Track:
    """A track that may still grow.

    Attributes:
        past: (P, 5, 2) landmarks of the frames before, missed ones filled in: what smoothing looks back at, one
            at least, from which frames missed next are filled in.
        waiting: frames that are in no clip yet.
        clips: how many were made.
    """

    past: np.ndarray = field(default_factory=lambda: np.empty((0, 5, 2)))
    waiting: list[Glimpse] = field(default_factory=list)
    clips: int = 0

    @property
    def seen(self) -> int:
        """Waiting frames up to the last in which the face was seen: what comes after may be no part of the track."""
        return max((place + 1 for place, glimpse in enumerate(self.waiting) if glimpse.seen), default=0)


class Assembler:
    """Cuts tracks into clips that follow one another without overlap.

    Of each face only its surroundings are kept, for frames + context(sigma) + most_missed frames at most. A frame's
    take 3 · (2 · reach · 2 · size)² bytes or the whole frame's, whichever is less. With four faces, crops of 512,
    reach 0.86, sigma 5 and most_missed 3 that is 1.4 GB for clips of 17 frames and 3.7 GB for 81, where all faces are
    as large as that; faces of 512 pixels take a quarter.

    Args:
        tracker: follows the faces.
        frames: T of a clip.
        sigma: smoothing of landmarks, see `dvface.perception.tracks.smooth`.
        reach: see `dvface.data_prep.prepare.crops.Crop`.
        size: of the crops.

    Attributes:
        counts: frames and faces by what became of them.
    """

    def __init__(self, tracker: Tracker, frames: int, sigma: float, reach: float, size: int) -> None:
        self.tracker, self.frames, self.sigma, self.reach, self.size = tracker, frames, sigma, reach, size
        self.ahead = context(sigma)
        self.counts: Counter[str] = Counter()
        self._tracks: dict[int, _Track] = {}

    def feed(self, frame: RawFrame, faces: Sequence[Face]) -> Iterator[TrackClip]:
        """Clips that the next frame completes.

        Args:
            frame: the frame after the last that was fed.
            faces: in it, largest first.
        """
        if not frame.continues:
            yield from self.end()
        self.counts["frames"] += 1
        self.counts["faces"] += len(faces)
        self.counts["frames_without_face"] += not faces
        sightings = self.tracker.update(faces)
        self.counts["faces_beyond_most_faces"] += len(faces) - sum(sighting.seen for sighting in sightings)
        for number in sorted(self._tracks.keys() - {sighting.track for sighting in sightings}):
            yield from self._finish(number)
        picture = picture_area(frame.pixels) if sightings else (0, 0, 0, 0)
        for sighting in sightings:
            yield from self._extend(sighting, frame, picture)

    def end(self) -> Iterator[TrackClip]:
        """Clips of the tracks that end here: at a cut and after the last frame."""
        self.tracker.cut()
        for number in sorted(self._tracks):
            yield from self._finish(number)

    def _extend(self, sighting: Sighting, frame: RawFrame, picture: tuple[int, int, int, int]) -> Iterator[TrackClip]:
        patch = take_patch(frame.pixels, picture, sighting.face, self.reach, self.size)
        track = self._tracks.setdefault(sighting.track, _Track())
        track.waiting.append(Glimpse(frame.index, frame.seconds, sighting.face, sighting.seen, patch))
        while track.seen >= self.frames + self.ahead:
            yield self._clip(sighting.track, track)

    def _finish(self, number: int) -> Iterator[TrackClip]:
        track = self._tracks.pop(number)
        del track.waiting[track.seen :]
        while len(track.waiting) >= self.frames:
            yield self._clip(number, track)
        self.counts["tracks"] += 1
        kind = "face_frames_that_fill_no_clip" if track.clips else "face_frames_of_tracks_too_short"
        self.counts[kind] += len(track.waiting)

    def _clip(self, number: int, track: _Track) -> TrackClip:
        """Take the first clip off the track's waiting frames."""
        # The last of them was seen, so that a clip's own frames have known ones on both sides.
        near = track.waiting[: track.seen]
        marks = np.concatenate([track.past, [glimpse.face.landmarks for glimpse in near]])
        filled = fill_missed(marks, np.array([*(True for _ in track.past), *(glimpse.seen for glimpse in near)]))
        start, stop = len(track.past), len(track.past) + self.frames
        smoothed = smooth(filled, self.sigma)[start:stop]
        clip = TrackClip(number, tuple(near[: self.frames]), filled[start:stop], smoothed)
        track.past = filled[max(0, stop - max(1, self.ahead)) : stop].copy()
        del track.waiting[: self.frames]
        track.clips += 1
        return clip
