"""From one video to judged clips, in one pass."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import chain
from pathlib import Path

import cv2
import numpy as np

from dvface.data_prep.prepare.assembly import Assembler, TrackClip
from dvface.data_prep.prepare.clock import Clock
from dvface.data_prep.prepare.duplicates import prints
from dvface.data_prep.prepare.face_clip import FaceClip
from dvface.data_prep.prepare.frames import RawFrame
from dvface.data_prep.prepare.limits import Beat
from dvface.data_prep.prepare.reading import Reading
from dvface.data_prep.prepare.record import ClipRecord
from dvface.data_prep.prepare.source import Source
from dvface.data_prep.prepare.strips import SIDE, strip
from dvface.data_prep.prepare.tools import Tools
from dvface.perception.alignment import span
from dvface.perception.detection import Face
from dvface.perception.patches import inside, render
from dvface.perception.tracks import Tracker

TOGETHER = 16  # frames that the detector is given at once …
TOGETHER_BYTES = 128 * 2**20  # … or as many as fit into this
DRIFT = "drift"
"""Name, among the filters, of what refuses a clip whose face moves too far for its crop."""
OUT_OF_REACH = "reach"
"""Name, among the filters, of what refuses a clip whose face leaves its surroundings."""


@dataclass(frozen=True)
class Candidate:
    """A clip that was judged.

    Attributes:
        record: what is known of it.
        strip: a small picture of it, JPEG.
        face: the crop itself, None where none could be made.
        matrices: (T, 2, 3): pixels of the footage to pixels of the crop.
    """

    record: ClipRecord
    strip: bytes
    face: FaceClip | None
    matrices: np.ndarray


class Extraction:
    """One pass through a video.

    Args:
        tools: what it is done with.
        source: the video.
        path: where it lies.
        beat: called again and again while reading: a sign of life.

    Attributes:
        reading: what was read, and what was wrong with it.
        assembler: whose counts say what became of frames and faces.
        clock: where the time went.
    """

    def __init__(self, tools: Tools, source: Source, path: Path, beat: Beat) -> None:
        self.tools, self.source = tools, source
        self.clock = Clock()
        self.reading = Reading(path, tools.rate, beat)
        self.assembler = Assembler(
            Tracker(**tools.tracking), tools.clip_frames, tools.smoothing, tools.crop.reach, tools.size
        )

    def candidates(self) -> Iterator[Candidate]:
        """Its clips, one after another, kept or not.

        Raises:
            UserError: nothing can be read.
        """
        with self.reading as frames:
            decoded = self.clock.drawn("decode", frames)
            scenes = self.clock.drawn("find cuts", self.tools.scenes.split(decoded))
            for frame, faces in self._with_faces(scenes):
                yield from map(self._judge, self._assembled(self.assembler.feed(frame, faces)))
            yield from map(self._judge, self._assembled(self.assembler.end()))

    def _assembled(self, clips: Iterable[TrackClip]) -> Iterator[TrackClip]:
        return self.clock.drawn("track", clips)

    def _with_faces(self, frames: Iterable[RawFrame]) -> Iterator[tuple[RawFrame, list[Face]]]:
        for group in _alike(frames):
            with self.clock.step("find faces"):
                found = self.tools.detector.detect([frame.pixels for frame in group])
            yield from zip(group, found, strict=True)

    def _judge(self, clip: TrackClip) -> Candidate:
        with self.clock.step("crop"):
            face, matrices = self._crop(clip)
        failed: dict[str, str] = {}
        measures: dict[str, float] = {}
        person: tuple[float, ...] | None = None
        hashes: tuple[str, ...] = ()
        if (drift := self.tools.crop.refusal(clip.smoothed)) is not None:
            failed[DRIFT] = drift
        elif face is None:
            failed[OUT_OF_REACH] = (
                "the crop reaches beyond what was kept around the face, which grows or turns too fast"
            )
        if face is not None:
            with self.clock.step("filters"):
                for name, judge in self.tools.filters.items():
                    verdict = judge(face)
                    measures |= verdict.measures
                    failed |= {name: verdict.reason} if verdict.reason else {}
        if face is not None and not failed:
            with self.clock.step("identity"):
                seen = self.tools.identity(face)
            measures |= seen.verdict.measures
            failed |= {"identity": seen.verdict.reason} if seen.verdict.reason else {}
            if seen.embedding is not None:
                person = tuple(round(float(value), 4) for value in seen.embedding)
            hashes = prints(face.frames)
        first = clip.glimpses[0]
        record = ClipRecord(
            key=f"{self.source.key}-{clip.track:03d}-{first.index:07d}",
            source=self.source.key,
            track=clip.track,
            first_frame=first.index,
            seconds=round(first.seconds, 3),
            frames=len(clip.glimpses),
            measures=measures,
            failed=failed,
            person=person,
            prints=hashes,
        )
        with self.clock.step("crop"):
            small = strip(_thumbnails(clip) if face is None else face.frames)
        return Candidate(record, small, face, matrices)

    def _crop(self, clip: TrackClip) -> tuple[FaceClip | None, np.ndarray]:
        size = self.tools.size
        matrices = self.tools.crop.matrices(clip.smoothed)
        placed = list(zip(clip.glimpses, matrices, strict=True))
        drawn = [render(glimpse.patch, matrix, size) for glimpse, matrix in placed]
        frames = [frame for frame in drawn if frame is not None]
        to_crop = matrices * size
        if len(frames) < len(drawn):
            return None, to_crop
        marks = np.einsum("tij,tnj->tni", to_crop[:, :, :2], clip.smoothed) + to_crop[:, None, :, 2]
        face = FaceClip(
            frames=np.stack(frames),
            landmarks=marks.astype(np.float32),
            detected=clip.landmarks.astype(np.float32),
            spans=np.asarray(span(clip.smoothed), dtype=np.float32),
            scores=np.array([glimpse.face.score if glimpse.seen else 0 for glimpse in clip.glimpses], np.float32),
            inside=np.array([inside(glimpse.patch, matrix) for glimpse, matrix in placed], np.float32),
            rate=Fraction(self.reading.rate),
        )
        return face, to_crop


def _alike(frames: Iterable[RawFrame]) -> Iterator[list[RawFrame]]:
    """Frames in groups of one size."""
    group: list[RawFrame] = []
    for frame in chain(frames, [None]):
        full = bool(group) and (len(group) == TOGETHER or (len(group) + 1) * group[0].pixels.nbytes > TOGETHER_BYTES)
        if group and (frame is None or full or frame.pixels.shape != group[0].pixels.shape):
            yield group
            group = []
        if frame is not None:
            group.append(frame)


def _thumbnails(clip: TrackClip) -> np.ndarray:
    """(T, SIDE, SIDE, 3): the surroundings of the face, for a clip of which no crop could be made."""
    blank = np.zeros((SIDE, SIDE, 3), np.uint8)
    patches = [glimpse.patch.pixels for glimpse in clip.glimpses]
    return np.stack(
        [cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_AREA) if one.size else blank for one in patches]
    )
