"""Frame times that increase: what containers leave out or get wrong is made up with the least change."""

from fractions import Fraction

LONGEST_STEP_BACK = 1
"""Seconds; times that fall back further have begun anew, as where two recordings were put together."""


class IncreasingTimes:
    """Repairs one time after the other.

    Args:
        step: ticks between two frames at the video's rate.
        time_base: seconds a tick.

    Attributes:
        missing: how many times were not there and were made up from the rate.
        moved: how many did not increase and were moved.
    """

    def __init__(self, step: int, time_base: Fraction) -> None:
        self._step = step
        self._far = Fraction(LONGEST_STEP_BACK) / time_base
        self._last: int | None = None
        self._shift = 0
        self.missing = 0
        self.moved = 0

    def __call__(self, time: int | None) -> int:
        """The time to use for the next frame: ``time`` itself where it is at least 0 and beyond the last one."""
        if time is None:
            self.missing += 1
            # A stream that never says starts at 0.
            time = 0 if self._last is None else self._last + self._step
        else:
            time += self._shift
            if self._last is not None and time <= self._last:
                self.moved += 1
                if self._last - time > self._far:
                    self._shift += self._last + self._step - time
                    time = self._last + self._step
                else:
                    time = self._last + 1
            elif time < 0:
                self.moved += 1
                time = 0
        self._last = time
        return time

    @property
    def notes(self) -> tuple[str, ...]:
        """What was repaired so far, as sentences."""
        notes = []
        if self.missing:
            notes.append(f"{self.missing} frames carried no time; theirs follow the frame rate.")
        if self.moved:
            notes.append(f"{self.moved} frames had a time no later than the frame before; they were moved behind it.")
        return tuple(notes)
