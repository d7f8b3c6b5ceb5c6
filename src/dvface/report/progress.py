"""Progress of long work: a bar on a terminal, a line now and then in a log."""

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self, TextIO

from rich import progress as bars
from rich.console import Console

BAR_REFRESH_SECONDS = 0.1


def duration_text(seconds: float) -> str:
    """``mm:ss``, or ``h:mm:ss`` from one hour on; fractions of a second are dropped."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


@dataclass(frozen=True)
class State:
    """Where the work stands.

    Attributes:
        completed: units done, those of earlier processes included.
        done_here: units done by this process.
        total: all units, or None when unknown.
        elapsed: seconds since this process began.
        note: a few words about the last unit.
    """

    completed: int
    done_here: int
    total: int | None
    elapsed: float
    note: str

    @property
    def seconds_left(self) -> float | None:
        """Estimate from the pace of this process; None without a total or before the first unit."""
        if self.total is None or self.done_here <= 0:
            return None
        return self.elapsed / self.done_here * max(self.total - self.completed, 0)


class Display(Protocol):
    """Something that shows a `State` at most every ``interval`` seconds."""

    interval: float

    def show(self, state: State) -> None:
        """Show ``state`` now."""

    def close(self) -> None:
        """Show nothing more."""


class PlainLines:
    """One line a time, for logs and pipes.

    Args:
        description: first word of every line.
        stream: where lines go.
        interval: least seconds between two lines.
    """

    def __init__(self, description: str, stream: TextIO, interval: float) -> None:
        self.description = description
        self.stream = stream
        self.interval = interval

    def show(self, state: State) -> None:
        """Write e.g. ``restorer 120/300 (40 %) · 00:51 elapsed · 01:16 left · loss 0.12``."""
        parts = [self._count(state), f"{duration_text(state.elapsed)} elapsed"]
        left = state.seconds_left
        if left:
            parts.append(f"{duration_text(left)} left")
        if state.note:
            parts.append(state.note)
        print(f"{self.description} {' · '.join(parts)}", file=self.stream, flush=True)

    def close(self) -> None:
        """Nothing to close: the stream belongs to the caller."""

    @staticmethod
    def _count(state: State) -> str:
        if state.total is None:
            pace = state.done_here / state.elapsed if state.elapsed > 0 else 0.0
            return f"{state.completed} · {pace:.2f}/s"
        percent = 100 * state.completed // state.total if state.total else 100
        return f"{state.completed}/{state.total} ({percent} %)"


class TerminalBar:
    """A rich progress bar; the arguments are those of `Progress`."""

    interval = BAR_REFRESH_SECONDS

    def __init__(self, description: str, stream: TextIO, total: int | None, start: int) -> None:
        counted = (bars.MofNCompleteColumn(), bars.TaskProgressColumn(show_speed=True))
        timed = (bars.TimeElapsedColumn(), bars.TimeRemainingColumn())
        self._bar = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            *counted,
            *timed,
            bars.TextColumn("{task.fields[note]}", markup=False),
            # A console of its own lets a second bar open while this one lives.
            console=Console(file=stream),
            # Results piped out of stdout must not be drawn into with the bar.
            redirect_stdout=sys.stdout.isatty(),
            speed_estimate_period=600,
        )
        self._task = self._bar.add_task(description, total=total, completed=start, note="")
        self._bar.start()

    def show(self, state: State) -> None:
        """Move the bar; rich draws it from its own thread."""
        self._bar.update(self._task, completed=state.completed, note=state.note)

    def close(self) -> None:
        """Draw the last state and give the terminal back."""
        self._bar.stop()


class Progress:
    """Shows how far long work is and how long it will take; use it as a context manager.

    On a terminal a bar; elsewhere a line at most every ``interval`` seconds, and one at the end.

    Args:
        description: what is being done.
        total: units of work in all; None when unknown (then count and pace are shown).
        start: units that earlier processes did; the time left is judged by the work of this one.
        interval: least seconds between two plain lines.
        stream: where to show; standard error by default.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        description: str,
        total: int | None = None,
        *,
        start: int = 0,
        interval: float = 10.0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._description = description
        self._total = total
        self._start = start
        self._interval = interval
        self._stream = stream or sys.stderr
        self._clock = clock
        self._completed = start
        self._note = ""

    def __enter__(self) -> Self:
        self._display = self._open_display()
        self._began = self._shown = self._clock()
        return self

    def advance(self, units: int = 1, note: str = "") -> None:
        """``units`` more are done; ``note`` is shown at the end of the line."""
        self._completed += units
        self._note = note
        now = self._clock()
        if now - self._shown >= self._display.interval:
            self._shown = now
            self._display.show(self._state(now))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._display.show(self._state(self._clock()))
        self._display.close()

    def _open_display(self) -> Display:
        if self._stream.isatty():
            return TerminalBar(self._description, self._stream, self._total, self._start)
        return PlainLines(self._description, self._stream, self._interval)

    def _state(self, now: float) -> State:
        done_here = self._completed - self._start
        return State(self._completed, done_here, self._total, now - self._began, self._note)
