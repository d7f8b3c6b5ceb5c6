"""VFHQ's test set: published pairs of clean and blindly degraded frames."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import ClassVar

import numpy as np

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.layouts.folder import AnyFolder
from dvface.data_prep.prepare.names import keys
from dvface.data_prep.prepare.source import Source
from dvface.data_prep.testsets.inputs import opened, rate_of, resized
from dvface.data_prep.testsets.protocol import About, Sides, TestsetPlan
from dvface.data_prep.work import psnr
from dvface.errors import UserError
from dvface.video.read import frame_files, read_frames


@dataclass(frozen=True)
class Pair:
    """A clean clip and its degraded twin of a smaller size."""

    key: str
    name: str
    clean: Source
    degraded: Source
    rate: int

    @contextmanager
    def open(self, scratch: Path) -> Iterator[Sides]:
        """See `Item.open`."""
        with opened(self.clean, scratch) as clean, opened(self.degraded, scratch) as degraded:
            _check_step(clean, degraded)
            height, width, _ = next(read_frames(clean)).shape

            def enlarged() -> Iterator[np.ndarray]:
                for frame in read_frames(degraded):
                    if frame.shape[0] * width != frame.shape[1] * height:
                        shape = f"{frame.shape[1]}×{frame.shape[0]}"
                        raise UserError(f"is {shape}, not of the shape of its reference, {width}×{height}")
                    yield resized(frame, height, width)

            try:
                quality = psnr(enlarged(), read_frames(clean))
            except ValueError as error:
                raise UserError(f"its two sides differ in their number of frames ({error})") from error
            rate = rate_of(clean, self.rate)
            yield Sides(rate, enlarged, lambda: read_frames(clean), {"source": self.name, "psnr": quality})


class VFHQTest:
    """Every clip of the clean folder that has a twin of the same name in the degraded folder.

    Args:
        clean: the folder of clean clips, relative to the input.
        degraded: the folder of degraded clips, relative to the input.
        rate: frames a second of folders of frames.
    """

    about: ClassVar[About] = About(
        source="VFHQ-Test, Xie et al. 2022, arXiv 2205.03409: folders GT and LR_Blind of numbered frames",
        confirmed=(
            "GT and LR_Blind, LR_Blind four times smaller (PGTFormer, data/vfhq_full_dataset.py)",
            "50 clips (DicFace calls the set VFHQ-Test-50)",
            "DVFace's published clips of this set are 512×512 at 24 frames/s and of full length: 87 to 112 frames",
        ),
        inferred=("DVFace takes LR_Blind, enlarged to the size of GT; the interpolation is not stated, bicubic here",),
        unknown=("whether DVFace aligned or padded faces before restoring: one published clip has black bars",),
    )

    def __init__(self, clean: str, degraded: str, rate: int) -> None:
        self.clean, self.degraded, self.rate = clean, degraded, rate

    def plan(self, root: Path, seed: int, scratch: Path) -> TestsetPlan:
        """See `Benchmark.plan`; nothing is drawn."""
        clean, refused = _clips(root, "clean", self.clean)
        degraded, also_refused = _clips(root, "degraded", self.degraded)
        alone = [
            Rejection(f"{folder}/{source.name}", f"has no clip of that name in {other}")
            for folder, ours, other, theirs in (
                (self.clean, clean, self.degraded, degraded),
                (self.degraded, degraded, self.clean, clean),
            )
            for name, source in ours.items()
            if name not in theirs
        ]
        shared = sorted(clean.keys() & degraded.keys())
        made = keys((name, name) for name in shared)
        items = [
            Pair(key, name, clean[name], degraded[name], self.rate) for key, name in zip(made, shared, strict=True)
        ]
        items.sort(key=lambda item: item.key)
        return TestsetPlan(items, [*clean.values(), *degraded.values()], [*refused, *also_refused, *alone])


def _clips(root: Path, key: str, folder: str) -> tuple[dict[str, Source], list[Rejection]]:
    """The clips of one side by the last part of their names."""
    if not (root / folder).is_dir():
        raise UserError(f"input={root} has no folder {folder}; give it as protocol.{key}=FOLDER, relative to the input")
    sources, rejected = AnyFolder().find(root / folder)
    found: dict[str, Source] = {}
    for source in sources:
        path = PurePosixPath(source.name)
        name = path.name if source.path.is_dir() else path.stem
        if name in found:
            raise UserError(
                f"{root / folder} holds {name} twice, as {found[name].name} and as {source.name}; "
                f"give one folder as protocol.{key}=FOLDER"
            )
        found[name] = source
    return found, [Rejection(f"{folder}/{one.source}", one.reason) for one in rejected]


def _check_step(clean: Path, degraded: Path) -> None:
    """Folders of frames must hold frames of the same names: a missing one would shift all that follow."""
    if not (clean.is_dir() and degraded.is_dir()):
        return
    ours, theirs = ({file.stem for file in frame_files(folder)} for folder in (clean, degraded))
    if ours != theirs:
        raise UserError(
            f"its two sides differ in their frames: {len(ours)} and {len(theirs)}, "
            f"of which {min(ours ^ theirs)} is on one side only"
        )
