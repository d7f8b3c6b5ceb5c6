"""The time that a study may take, counted over all calls."""

import json
import time
from collections.abc import Callable
from pathlib import Path

from dvface.files import write_json


class Allowance:
    """Counts the seconds in which a study's runs are trained.

    Args:
        file: where they are kept; what it holds already counts.
        hours: that all calls together may take; None for no limit.
        clock: seconds that only grow.
    """

    def __init__(self, file: Path, hours: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.file = file
        self.limit = None if hours is None else hours * 3600
        self._clock = clock
        self._before = _read(file)
        self._began: float | None = None

    def begin(self) -> None:
        """From now on the time counts."""
        self._began = self._clock()

    @property
    def spent(self) -> float:
        """Seconds of all calls."""
        return self._before + (0.0 if self._began is None else self._clock() - self._began)

    def keep(self) -> None:
        """Write down what has been spent."""
        write_json(self.file, {"seconds": round(self.spent, 1)})

    def is_left(self) -> bool:
        """Whether a further run may begin; what has been spent so far is written down."""
        self.keep()
        return self.limit is None or self.spent < self.limit


def _read(file: Path) -> float:
    try:
        return float(json.loads(file.read_text(encoding="utf-8"))["seconds"])
    except (OSError, ValueError, TypeError, KeyError):
        return 0.0
