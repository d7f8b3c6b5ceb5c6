"""Test sets of footage that is really degraded, without reference."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.layouts import folder, named
from dvface.data_prep.prepare.source import Source
from dvface.data_prep.testsets.inputs import opened, rate_of, squares
from dvface.data_prep.testsets.protocol import About, Sides, TestsetPlan
from dvface.errors import UserError
from dvface.seeding import derive_seed
from dvface.video.read import read_frames


@dataclass(frozen=True)
class Whole:
    """A whole video, resized."""

    source: Source
    size: int
    rate: int

    @property
    def key(self) -> str:
        """See `Item.key`."""
        return self.source.key

    @property
    def name(self) -> str:
        """See `Item.name`."""
        return self.source.name

    @contextmanager
    def open(self, scratch: Path) -> Iterator[Sides]:
        """See `Item.open`."""
        with opened(self.source, scratch) as path:
            rate = rate_of(path, self.rate)
            yield Sides(rate, lambda: squares(read_frames(path), self.size, path), None, {"source": self.name})


class RFVLQ:
    """All tracks of RFV-LQ at full length.

    Args:
        size: side of the clips; tracks are enlarged to it by bicubic interpolation.
        rate: frames a second of folders of frames.
    """

    about: ClassVar[About] = About(
        source="RFV-LQ, Wang et al. 2024, arXiv 2410.11828: tracks from old talk shows, series and films",
        confirmed=(
            "329 tracks, no reference",
            "DVFace's published clips of this set are 512×512 at 24 frames/s and 81 to 116 frames long",
        ),
        inferred=("all tracks are measured",),
        unknown=("how DVFace brought tracks of other sizes to 512×512; bicubic here",),
    )

    def __init__(self, size: int, rate: int) -> None:
        self.size, self.rate = size, rate

    def plan(self, root: Path, seed: int, scratch: Path) -> TestsetPlan:
        """See `Benchmark.plan`; nothing is drawn."""
        sources, rejected = folder.RFVLQ().find(root)
        return TestsetPlan([Whole(source, self.size, self.rate) for source in sources], sources, rejected)


class VoxCeleb2:
    """Videos of people of VoxCeleb2's test split, drawn by the seed.

    A video's place in the draw depends on its name alone, so that more of them keep the earlier ones.

    Args:
        videos: at most so many; None takes all.
        size: side of the clips; videos, which have 224 pixels, are enlarged to it by bicubic interpolation.
        rate: frames a second of folders of frames.
    """

    about: ClassVar[About] = About(
        source="VoxCeleb2, Chung et al. 2018, arXiv 1806.05622: square crops of 224 pixels from YouTube",
        confirmed=(
            "DVFace measures this set without reference",
            "its test split has 118 people",
        ),
        inferred=("DVFace takes the test split",),
        unknown=("which videos and how many", "how they were brought to 512×512; bicubic here"),
    )

    def __init__(self, videos: int | None, size: int, rate: int) -> None:
        if videos is not None and videos < 1:
            raise ValueError("videos must be 1 or more, or null for all")
        self.videos, self.size, self.rate = videos, size, rate

    def plan(self, root: Path, seed: int, scratch: Path) -> TestsetPlan:
        """See `Benchmark.plan`; training people are refused."""
        found, rejected = named.VoxCeleb2().find(root)
        testing = [source for source in found if source.origin.split == "test"]
        if not testing:
            raise UserError(f"input={root} holds no video below test/mp4; give the folder that holds VoxCeleb2's test")
        others = len(found) - len(testing)
        if others:
            rejected.append(Rejection("dev", f"{others} videos of training people are no part of a test set"))
        drawn = sorted(testing, key=lambda source: derive_seed(seed, "testset", source.name))[: self.videos]
        drawn.sort(key=lambda source: source.key)
        return TestsetPlan([Whole(source, self.size, self.rate) for source in drawn], drawn, rejected)
