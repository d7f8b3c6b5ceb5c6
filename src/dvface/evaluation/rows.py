"""Many small tensors put in a row as they come, in one piece of memory.

A small tensor that is kept after each segment lies where the segment's frames lay, and the next frames no longer fit
into what is left of that place: with the numbers alone kept, memory still grows by nearly all frames (measured with
glibc's allocator: 150 kB a frame of 176 × 144, both sides). Here nothing small outlives its segment.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

LEAST_ROWS = 1024  # so that clips up to a minute take memory once


class Rows:
    """Tensors in a row along their first axis, as ``torch.cat`` would put them."""

    def __init__(self) -> None:
        self._held = torch.empty(0)
        self._count: int | None = None

    def add(self, rows: Tensor) -> None:
        """Append a copy of ``rows``, on the CPU.

        Args:
            rows: (N, ...) of any N; what follows is the same each time. Of several types, the one that holds all is
                kept.

        Raises:
            ValueError: what follows differs from earlier rows.
        """
        if self._count is None:
            self._held, self._count = torch.empty((0, *rows.shape[1:]), dtype=rows.dtype), 0
        if rows.shape[1:] != self._held.shape[1:]:
            raise ValueError(f"rows of shape {tuple(rows.shape[1:])} behind rows of {tuple(self._held.shape[1:])}")
        end = self._count + len(rows)
        kind = torch.promote_types(self._held.dtype, rows.dtype)
        if end > len(self._held) or kind != self._held.dtype:
            held = torch.empty((max(LEAST_ROWS, 2 * len(self._held), end), *rows.shape[1:]), dtype=kind)
            held[: self._count] = self._held[: self._count]
            self._held = held
        self._held[self._count : end] = rows
        self._count = end

    def whole(self) -> Tensor:
        """(all N, ...): a copy of what was added.

        Raises:
            ValueError: nothing was added.
        """
        if self._count is None:
            raise ValueError("nothing was added")
        return self._held[: self._count].clone()


class EvidenceRows:
    """A clip's evidence, collected segment by segment."""

    def __init__(self) -> None:
        self._rows: dict[str, Rows] = {}

    def add(self, evidence: Mapping[str, Tensor]) -> None:
        """Append what the measures say of the next segment."""
        for name, found in evidence.items():
            self._rows.setdefault(name, Rows()).add(found)

    def whole(self) -> dict[str, Tensor]:
        """Measure -> all its rows; what was collected is given up, so that one measure's alone is in memory twice."""
        names = list(self._rows)
        return {name: self._rows.pop(name).whole() for name in names}
