"""A clock that books time to named parts of the work, each moment to one part only."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass
class Spent:
    """What a part has used.

    Attributes:
        seconds: spent in it and in no part within it.
        calls: how often it was entered from another part.
    """

    seconds: float = 0.0
    calls: int = 0


@dataclass(frozen=True)
class _Entered:
    part: str
    closed: bool


class PartClock:
    """Books every moment to the innermost part that is entered, so that the parts add up to the whole.

    Args:
        rest: the part for time outside of all others.
        settle: waits until what was begun has ended, as the kernels of a GPU must before the clock is read.
        clock: seconds that only grow.

    Attributes:
        spent: what each part has used since the clock was made or last restarted.
    """

    def __init__(self, rest: str, settle: Callable[[], None], clock: Callable[[], float] = time.perf_counter) -> None:
        self.rest = rest
        self.settle = settle
        self.clock = clock
        self.spent: dict[str, Spent] = {rest: Spent()}
        self._within = [_Entered(rest, closed=False)]
        self._read = clock()

    def enter(self, part: str, closed: bool = False) -> None:
        """From now on time is ``part``'s; where it is closed, also that of parts within that are not closed."""
        self.book()
        outer = self._within[-1]
        if outer.closed and not closed:
            part, closed = outer.part, True
        self.spent.setdefault(part, Spent()).calls += part != outer.part
        self._within.append(_Entered(part, closed))

    def leave(self) -> None:
        """Time is again that of the part from which the last one was entered."""
        self.book()
        self._within.pop()

    def book(self) -> None:
        """Book what has passed until now."""
        self.settle()
        now = self.clock()
        self.spent.setdefault(self._within[-1].part, Spent()).seconds += now - self._read
        self._read = now

    def restart(self) -> None:
        """Forget what was spent so far; parts that are entered stay so."""
        self.book()
        self.spent = {self.rest: Spent()}

    @property
    def total(self) -> float:
        """Seconds of all parts together."""
        return sum(spent.seconds for spent in self.spent.values())


class Watches:
    """Methods of single objects whose time goes to a part, until they are taken back.

    Args:
        clock: what their time is booked by.
    """

    def __init__(self, clock: PartClock) -> None:
        self.clock = clock
        self._before: list[tuple[Any, str, tuple[Any, ...]]] = []

    def add(self, owner: Any, method: str, part: str, closed: bool = False) -> None:
        """Book what ``owner.method`` takes to ``part``; the object's class is left alone.

        Args:
            owner: an object, or a module whose function is meant.
            method: its name.
            part: see `PartClock.enter`.
            closed: see `PartClock.enter`.
        """
        plain = getattr(owner, method)

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.clock.enter(part, closed)
            try:
                return plain(*args, **kwargs)
            finally:
                self.clock.leave()

        self.replace(owner, method, watched)

    def replace(self, owner: Any, name: str, stand_in: Any) -> None:
        """Put ``stand_in`` in the place of ``owner.name``."""
        self._before.append((owner, name, (vars(owner)[name],) if name in vars(owner) else ()))
        setattr(owner, name, stand_in)

    def take_back(self) -> None:
        """Leave every object as it was."""
        while self._before:
            owner, name, before = self._before.pop()
            if before:
                setattr(owner, name, before[0])
            else:
                delattr(owner, name)
