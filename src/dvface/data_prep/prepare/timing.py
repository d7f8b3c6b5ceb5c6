"""When the frames of footage are shown, and which of them to keep."""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from math import floor
from statistics import median

USUAL_RATE = Fraction(25)  # where a file gives no hint at all
GAP = Fraction(3, 2)  # periods; one missing frame makes 2, the 3:2 rhythm of film on a 60 Hz grid 1.2
UNEVEN = Fraction(8, 5)  # the longer step of that rhythm by the shorter, in rounded milliseconds
FASTEST = 1000  # frames a second; times that say more are no times
SAME_RATE = 0.02  # a phone's declared rate differs by this much from what its first frames show
FASTER = 1.02  # footage at 30 is not thinned to 29.97: that would drop one frame in a thousand


def nominal_rate(times: Sequence[Fraction | None], declared: Fraction | None) -> tuple[Fraction, bool]:
    """Frames a second of a stream.

    Args:
        times: seconds of its first packets, in any order; None where a packet has none.
        declared: what the container says, None where it says nothing.

    Returns:
        The rate, which is above 0, and whether the times can be believed.
    """
    known = sorted(time for time in times if time is not None)
    steps = [later - earlier for earlier, later in pairwise(known)]
    if len(known) < len(times) or (steps and median(steps) == 0):
        return declared or USUAL_RATE, False
    if not steps:
        return declared or USUAL_RATE, True
    middle = median(steps)
    # The mean without gaps: the median alone is one of the two steps of an uneven rhythm.
    usual = [step for step in steps if middle / 2 <= step <= middle * UNEVEN]
    measured = len(usual) / sum(usual, Fraction(0))
    if measured > FASTEST:
        return declared or USUAL_RATE, False
    for multiple in (1, 2):  # twice where each field is a packet of its own
        if declared and abs(measured / (multiple * declared) - 1) < SAME_RATE:
            return declared, True
    # Pictures many minutes apart have no rate: each is a scene of its own.
    return measured.limit_denominator(1001) or declared or USUAL_RATE, True


class Clock:
    """Says when each frame is shown, from its timestamp or, where timestamps are no use, by counting.

    Args:
        rate: nominal frames a second.
        counting: whether to count from the start.

    Attributes:
        remarks: what was wrong with the timestamps, a sentence each.
    """

    def __init__(self, rate: Fraction, counting: bool) -> None:
        self._period = 1 / rate
        self._counting = False
        self._origin = Fraction(0)
        self._last: Fraction | None = None
        self._doubles = self._gaps = 0
        self._notes: list[str] = []
        if counting:
            self._count("has no usable timestamps")

    @property
    def remarks(self) -> list[str]:
        """What was wrong with the timestamps so far, a sentence each."""
        doubles = [f"{self._doubles} frames have the time of the frame before and are left out"] * bool(self._doubles)
        gaps = [f"{self._gaps} gaps in time part the footage"] * bool(self._gaps)
        return [*self._notes, *doubles, *gaps]

    def place(self, time: Fraction | None, passed: int = 1) -> tuple[Fraction, bool] | None:
        """Seconds since the first frame and whether no gap lies before the frame; None for a second one of that time.

        Args:
            time: its timestamp in seconds.
            passed: frames since the one placed before, lost ones included.
        """
        if time is None and not self._counting:
            self._count("has frames without a timestamp")
        if self._last is None:
            self._origin, self._last = time or Fraction(0), Fraction(0)
            return self._last, False
        back = False
        if not self._counting and time is not None:
            step = time - self._origin - self._last
            if step == 0:
                self._doubles += 1
                return None
            if step > 0:
                self._last += step
                gap = step > GAP * self._period
                self._gaps += gap and passed == 1  # lost frames are told elsewhere
                return self._last, not gap
            back = True
            self._count("has timestamps that go backwards")
        self._last += passed * self._period
        return self._last, not back

    def _count(self, why: str) -> None:
        self._counting = True
        self._notes.append(f"{why}; frames are counted at {float(1 / self._period):.6g} a second from there")


class Thinning:
    """Keeps about ``rate`` frames a second of faster footage.

    Args:
        native: the footage's frames a second.
        rate: frames a second to keep at most; None keeps all.

    Attributes:
        rate: frames a second of what is kept.
    """

    def __init__(self, native: Fraction, rate: Fraction | None) -> None:
        thins = rate is not None and native > rate * FASTER
        self.rate = rate if thins and rate else native
        self._thins = thins
        self._slack = self.rate / native / 4  # a quarter of the footage's period: timestamps are rounded and jitter
        self._start = Fraction(0)
        self._slot = 0

    def keeps(self, seconds: Fraction, continues: bool) -> bool:
        """Whether to keep the frame shown at ``seconds``; one that does not continue the frame before always is."""
        if not self._thins or not continues:
            self._start, self._slot = seconds, 0
            return True
        slot = floor((seconds - self._start) * self.rate + self._slack)
        fresh = slot > self._slot
        self._slot += fresh  # by one: a slot that jitter jumped over is filled by the next frame
        return fresh
