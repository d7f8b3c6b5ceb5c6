"""HDTF: clean talking heads, degraded here."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed

from dvface.data.pairing import Degradation, degrade_once
from dvface.data_prep.plan import Cutting, Rejection, clip_key, starts, too_short
from dvface.data_prep.prepare.layouts import named
from dvface.data_prep.prepare.source import Source
from dvface.data_prep.testsets.inputs import opened, squares
from dvface.data_prep.testsets.protocol import About, Item, Sides, TestsetPlan
from dvface.data_prep.videos import LOOKING_AT_ONCE, Video, examine
from dvface.data_prep.work import psnr
from dvface.errors import UserError
from dvface.seeding import derive_seed
from dvface.video.read import read_video


@dataclass(frozen=True)
class Degraded:
    """Some frames of a clean video, degraded by a draw that depends on the seed and the key alone."""

    key: str
    source: Source
    start: int
    frames: int
    size: int
    rate: Fraction
    degradation: Degradation
    seed: int

    @property
    def name(self) -> str:
        """See `Item.name`."""
        return self.source.name

    @contextmanager
    def open(self, scratch: Path) -> Iterator[Sides]:
        """See `Item.open`."""
        with opened(self.source, scratch) as path:
            video = read_video(path, self.start, self.start + self.frames)
            if len(video) < self.frames:
                raise UserError(f"ends within the frames {self.start} to {self.start + self.frames}")
            clean = np.stack(list(squares(video, self.size, path)))
        degraded, record = degrade_once(self.degradation, clean, self.seed, self.key)
        meta = {"source": self.name, "first_frame": self.start, "psnr": psnr(degraded, clean), "record": record}
        yield Sides(self.rate, lambda: iter(degraded), lambda: iter(clean), meta)


class HDTF:
    """Clips of equal length from square videos in HDTF's layout.

    Args:
        degradation: the recipe.
        clip_frames: of a clip; clips lie end to end from a video's first frame.
        clips_per_recording: at most so many, drawn by the seed.
        size: side of the clips; larger videos are shrunk, smaller ones are refused: they make no reference.
    """

    about: ClassVar[About] = About(
        source="HDTF, Zhang et al. 2021, github.com/MRzzm/HDTF: videos cut and cropped with its own lists",
        confirmed=(
            "DVFace's published clips of this set are 512×512 at 24 frames/s and exactly 81 frames long",
            "a reference exists: the paper gives PSNR 29.54 for DVFace",
        ),
        inferred=(
            "clips lie end to end from the first frame: the frames of one published clip are 1944 to 2024, and 1944 "
            "is 24 times 81",
            "the published inputs are mildly degraded: 28 to 30 dB, about 2 to 4 times smaller, compressed",
        ),
        unknown=(
            "which videos, which clips and how many",
            "the degradation; the default here, recipe=vfhq, is stronger than the published inputs look",
            "whether videos were brought to 24 frames/s first; here they keep their own rate",
        ),
    )

    def __init__(self, degradation: Degradation, clip_frames: int, clips_per_recording: int, size: int) -> None:
        if min(clip_frames, clips_per_recording, size) < 1:
            raise ValueError("clip_frames, clips_per_recording and size must be 1 or more")
        self.degradation, self.size = degradation, size
        self.cutting = Cutting(clip_frames, 1)
        self.frames, self.most = clip_frames, clips_per_recording

    def plan(self, root: Path, seed: int, scratch: Path) -> TestsetPlan:
        """See `Benchmark.plan`."""
        sources, rejected = named.HDTF().find(root)
        look = Parallel(n_jobs=LOOKING_AT_ONCE, backend="threading")
        known = look(delayed(_facts)(source, scratch) for source in sources)
        candidates: list[tuple[Source, int, Fraction]] = []
        for source, fact in zip(sources, known, strict=True):
            reason = fact.get("reason") or self._fault(fact)
            if reason:
                rejected.append(Rejection(source.name, reason))
                continue
            firsts, _ = starts(fact["frames"], self.cutting)
            candidates += [(source, start or 0, Fraction(fact["rate"])) for start in firsts]
        candidates.sort(key=lambda one: (one[0].origin.recording, derive_seed(seed, "testset", one[0].name, one[1])))
        items: list[Item] = []
        for _, group in groupby(candidates, key=lambda one: one[0].origin.recording):
            for source, start, rate in list(group)[: self.most]:
                key = clip_key(source.key, start)
                items.append(Degraded(key, source, start, self.frames, self.size, rate, self.degradation, seed))
        items.sort(key=lambda item: item.key)
        return TestsetPlan(items, sources, rejected)

    def _fault(self, fact: dict[str, Any]) -> str | None:
        height, width = fact["height"], fact["width"]
        if height != width:
            return f"is {width}×{height}, no square crop of a face; crop it with HDTF's own lists first"
        if height < self.size:
            return f"is {width}×{height}, smaller than size={self.size}; give larger footage or lower protocol.size"
        return too_short(fact["frames"], self.cutting) if fact["frames"] < self.frames else None


def _facts(source: Source, scratch: Path) -> dict[str, Any]:
    try:
        with opened(source, scratch) as path:
            return examine(Video(source.key, source.name, path))
    except UserError as error:
        return {"reason": str(error)}
