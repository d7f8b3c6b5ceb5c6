"""One clip measured: what every measure says of it, and its worst frames."""

import heapq
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from dvface.evaluation.panel import error_panel
from dvface.evaluation.reading import Piece
from dvface.evaluation.results import WorstFrame
from dvface.evaluation.rows import EvidenceRows
from dvface.files import whole_file
from dvface.metrics.base import MeanMetric
from dvface.metrics.segment import Segment
from dvface.metrics.suite import MetricSuite

WORST = 3
"""Frames of a clip that are drawn, at most: one of a piece."""


@dataclass(frozen=True)
class Looked:
    """What is known of one clip.

    Attributes:
        evidence: measure -> what it says, see `dvface.metrics.base.ClipMetric`.
        numbers: of the compared frames in the restored video.
        worst: the worst frames by the leading measure, the worst first.
    """

    evidence: dict[str, Tensor]
    numbers: list[int]
    worst: list[WorstFrame]


def look(
    suite: MetricSuite,
    names: Collection[str],
    pieces: Iterable[Piece],
    device: torch.device,
    pictures: Path,
    label: str,
    advance: Callable[[int], None],
) -> Looked:
    """Watch a clip once; what is kept of a frame is its numbers alone, however long the clip is.

    Args:
        suite: the measures.
        names: which of them look.
        pieces: the clip.
        device: where the measures are.
        pictures: the output folder; the worst frames are drawn below it.
        label: of the clip, for the names of pictures.
        advance: is told how many more frames were measured.
    """
    numbers: list[int] = []
    first = leading(suite)
    judge = suite.metrics[first] if first is not None and first in names else None
    worst = WorstFrames(judge if isinstance(judge, MeanMetric) else None)
    found = EvidenceRows()
    segment: Segment | None = None
    # a GPU's short cut for convolutions keeps three digits, which is too few for numbers to be compared
    exact = torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=False, allow_tf32=False)
    with torch.inference_mode(), exact:
        for piece in pieces:
            segment = piece.segment(segment, device)
            seen = {name: evidence.cpu() for name, evidence in suite.look(segment, names).items()}
            found.add(seen)
            worst.consider(piece, seen)
            numbers.extend(range(piece.first, piece.first + len(piece.restored)))
            advance(len(piece.restored))
    return Looked(found.whole(), numbers, worst.draw(pictures, label))


def leading(suite: MetricSuite) -> str | None:
    """The first measure that has numbers of frames: by these a frame is good or bad."""
    return next((name for name, metric in suite.metrics.items() if isinstance(metric, MeanMetric)), None)


class WorstFrames:
    """Keeps the worst frame of each of the worst pieces, so that they do not all show one moment.

    Args:
        measure: by which frames are judged; with None there is no worst.
    """

    def __init__(self, measure: MeanMetric | None) -> None:
        self._measure = measure
        self._kept: list[tuple[float, int, np.ndarray, np.ndarray | None]] = []

    def consider(self, piece: Piece, evidence: dict[str, Tensor]) -> None:
        """Look at a piece's numbers, and keep its worst frame where it is among the worst."""
        if self._measure is None:
            return
        values = evidence[self._measure.name].double().numpy()
        badness = -values if self._measure.higher_is_better else values
        if np.isnan(badness).all():
            return
        index = int(np.nanargmax(badness))
        clean = None if piece.clean is None else piece.clean[index].copy()
        # frame numbers differ, so pictures are never compared
        heapq.heappush(self._kept, (float(badness[index]), piece.first + index, piece.restored[index].copy(), clean))
        if len(self._kept) > WORST:
            heapq.heappop(self._kept)

    def draw(self, folder: Path, label: str) -> list[WorstFrame]:
        """Write ``worst/LABEL-NUMBER.jpg`` below ``folder`` for each, the worst first."""
        from PIL import Image

        drawn = []
        for badness, number, restored, clean in sorted(self._kept, key=lambda kept: (-kept[0], kept[1])):
            assert self._measure is not None
            picture = f"worst/{label}-{number:06d}.jpg"
            with whole_file(folder / picture) as temporary:
                Image.fromarray(error_panel(restored, clean)).save(temporary, format="JPEG", quality=90)
            value = -badness if self._measure.higher_is_better else badness
            drawn.append(WorstFrame(number, self._measure.name, value, picture))
        return drawn
