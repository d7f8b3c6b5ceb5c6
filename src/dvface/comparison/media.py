"""The same clip through every variant: videos in step and still pictures, within the page."""

import base64
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dvface.comparison.runs import FinishedRun
from dvface.comparison.variants import Variant
from dvface.errors import UserError
from dvface.video.read import read_video

MOST_BYTES = 24_000_000
"""Of videos and pictures together, a third more in the page."""


@dataclass(frozen=True)
class Shown:
    """One side of a clip.

    Attributes:
        label: a variant, or ``input`` or ``clean``.
        picture: its middle frame, PNG as a data URI.
        video: MP4 as a data URI.
    """

    label: str
    picture: str
    video: str


@dataclass(frozen=True)
class ShownClip:
    """A clip through every variant.

    Attributes:
        name: of the clip.
        seed: of the runs that restored it.
        sides: in order; empty where the page is full.
        remarks: sentences on what is missing.
    """

    name: str
    seed: int
    sides: Sequence[Shown]
    remarks: Sequence[str]


def shown_clips(variants: Sequence[Variant], baseline: Variant, most_bytes: int) -> list[ShownClip]:
    """Every clip of which the baseline kept videos, while there is room: a clip is in the page whole or not at all.

    Args:
        variants: all.
        baseline: one of them, whose first seed is shown.
        most_bytes: room for videos and pictures.
    """
    seed = min(baseline.runs)
    run = baseline.runs[seed]
    left = most_bytes
    found = []
    for clip, video in run.videos.items():
        sides, remarks, size = [], [], 0
        for label, path in _paths(variants, run, clip, video, seed):
            if path is None or not path.is_file():
                remarks.append(f"{label}: there is no video of this clip with seed {seed}.")
                continue
            content = path.read_bytes()
            try:
                picture = _middle_frame(path)
            except (UserError, ValueError) as error:
                remarks.append(f"{label}: {error}.")
                continue
            size += len(content) + len(picture)
            sides.append(Shown(label, _uri(picture, "image/png"), _uri(content, "video/mp4")))
        if size > left:
            names = ", ".join(f"restored-{video}.mp4 of {side.label}" for side in sides[1:-1])
            sides, remarks = [], [f"Not in this page, which is full ({most_bytes / 1e6:.0f} MB): see {names}."]
        else:
            left -= size
        found.append(ShownClip(run.clip_names[clip], seed, sides, remarks))
    return found


def _paths(
    variants: Sequence[Variant], run: FinishedRun, clip: str, video: str, seed: int
) -> Iterator[tuple[str, Path | None]]:
    """Label and file of every side; None where a variant restored another clip, or none with this seed."""
    yield "input", run.folder / f"input-{video}.mp4"
    for variant in variants:
        own = variant.runs.get(seed)
        name = own.videos.get(clip) if own is not None else None
        yield variant.label, None if own is None or name is None else own.folder / f"restored-{name}.mp4"
    yield "clean", run.folder / f"clean-{video}.mp4"


def _middle_frame(path: Path) -> bytes:
    frames = read_video(path)
    buffer = io.BytesIO()
    Image.fromarray(frames[len(frames) // 2]).save(buffer, format="PNG")
    return buffer.getvalue()


def _uri(content: bytes, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
