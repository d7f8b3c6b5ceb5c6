"""How fast raw footage becomes clips, and where the time goes, on one core."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from dvface.data_prep.prepare.extract import TOGETHER, Extraction
from dvface.data_prep.prepare.source import Source
from dvface.data_prep.prepare.tools import Tools
from dvface.data_prep.work import one_thread
from dvface.perception.detection import FaceDetector
from dvface.report.progress import Progress
from dvface.video.read import read_frames
from dvface.video.write import EXACT, encode


@dataclass(frozen=True)
class Preparation:
    """Figures of some videos, each passed through once.

    Attributes:
        frames: decoded by us.
        clips: kept.
        seconds: processor time by step, encoding included.
        bare_frames: in the same videos, as a plain reader counts them.
        bare_seconds: processor time to decode them to RGB and do nothing: the floor.
        singly: seconds for the detector to look at frames one by one.
        together: seconds for the same frames at once.
    """

    frames: int
    clips: int
    seconds: dict[str, float]
    bare_frames: int
    bare_seconds: float
    singly: float
    together: float


def measure_preparation(tools: Tools, sources: Sequence[Source]) -> Preparation:
    """Prepare every source without writing anything, and decode each once more plainly.

    Args:
        tools: what `dvface prepare` works with.
        sources: videos; members of archives are not unpacked.
    """
    seconds: Counter[str] = Counter()
    frames = clips = bare_frames = 0
    bare = singly = together = 0.0
    with one_thread(), Progress("prepare", total=len(sources)) as bar:
        for source in sources:
            extraction = Extraction(tools, source, source.path, beat=lambda: None)
            for candidate in extraction.candidates():
                if candidate.face is not None and not candidate.record.failed:
                    with extraction.clock.step("encode"):
                        encode(candidate.face.frames, Fraction(extraction.reading.rate), **EXACT)
                    clips += 1
            seconds.update(extraction.clock.seconds)
            frames += extraction.reading.decoded
            count, spent = _decode(source.path)
            bare_frames, bare = bare_frames + count, bare + spent
            one, many = _detect(tools.detector, source.path)
            singly, together = singly + one, together + many
            bar.advance(note=source.name)
    return Preparation(frames, clips, dict(seconds), bare_frames, bare, singly, together)


def _decode(path: Path) -> tuple[int, float]:
    started = time.process_time()
    count = sum(1 for _ in read_frames(path))
    return count, time.process_time() - started


def _detect(detector: FaceDetector, path: Path) -> tuple[float, float]:
    """Seconds for the first frames one by one and at once."""
    frames = [frame for frame, _ in zip(read_frames(path), range(TOGETHER), strict=False)]
    detector.detect(frames[:1])  # whatever happens only once
    started = time.process_time()
    for frame in frames:
        detector.detect([frame])
    between = time.process_time()
    detector.detect(frames)
    return between - started, time.process_time() - between
