"""Where a worker's time goes."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

Item = TypeVar("Item")


class Clock:
    """Processor time by step; a step within another counts for itself alone.

    Args:
        now: seconds that only grow; processor time of this process by default, so that waiting does not count.

    Attributes:
        seconds: by step.
    """

    def __init__(self, now: Callable[[], float] = time.process_time) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._now = now
        self._steps: list[str] = []
        self._since = now()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """What happens within is ``name``'s time."""
        self._charge()
        self._steps.append(name)
        try:
            yield
        finally:
            self._charge()
            self._steps.pop()

    def drawn(self, name: str, items: Iterable[Item]) -> Iterator[Item]:
        """``items``; the time to make them is ``name``'s, the time to use them is not."""
        iterator = iter(items)
        while True:
            with self.step(name):
                try:
                    item = next(iterator)
                except StopIteration:
                    return
            yield item

    def _charge(self) -> None:
        now = self._now()
        if self._steps:
            self.seconds[self._steps[-1]] += now - self._since
        self._since = now
