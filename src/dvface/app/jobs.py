"""Jobs in a line: one at work, the others wait; each in a folder of its own that goes when it is no longer needed."""

import secrets
import shutil
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from dvface.app.folders import hold
from dvface.errors import UserError
from dvface.report.progress import State
from dvface.weights import WeightsMissing

Result = TypeVar("Result")
BROKEN = "something went wrong inside dvface; the terminal where the page runs shows what"
NO_MEMORY = "this machine has too little memory for this video; give a smaller or shorter one"


class Cancelled(Exception):
    """Raised in the work of a job that is no longer wanted."""


class Phase(Enum):
    """Where a job is."""

    WAITING = "waiting"
    WORKING = "working"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def over(self) -> bool:
        """Whether nothing more happens to the job."""
        return self in (Phase.DONE, Phase.FAILED, Phase.CANCELLED)


@dataclass(frozen=True)
class Standing(Generic[Result]):
    """A job at one moment.

    Attributes:
        phase: where it is.
        title: of the step at work.
        progress: of this step.
        message: a sentence on what went wrong.
        result: what the work returned.
    """

    phase: Phase = Phase.WAITING
    title: str = ""
    progress: State | None = None
    message: str = ""
    result: Result | None = None


class Job(Generic[Result]):
    """One video to restore.

    Args:
        owner: the page that asked.
        folder: its own.
        name: of the uploaded file.
        mode: of restoring.
        fidelity: 0 is restored, 1 the input.

    Attributes:
        key: names the job in addresses; nobody can guess it.
        source: the uploaded file within ``folder``.
        standing: replaced whole whenever something happens, so any thread may read it.
    """

    def __init__(self, owner: str, folder: Path, name: str, mode: str, fidelity: float) -> None:
        self.key = folder.name
        self.owner = owner
        self.folder = folder
        self.name = name
        self.mode = mode
        self.fidelity = fidelity
        self.source = folder / "input" / name
        self.standing: Standing[Result] = Standing()
        self.finished: float | None = None
        self._unwanted = threading.Event()

    def cancel(self) -> None:
        """End the work at its next step."""
        self._unwanted.set()

    @property
    def unwanted(self) -> bool:
        """Whether it was cancelled, though perhaps still at work."""
        return self._unwanted.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if the job was."""
        if self._unwanted.is_set():
            raise Cancelled

    def watch(self, title: str, total: int | None, start: int = 0) -> "Counter":
        """What the work tells of its progress; ends it when the job was cancelled."""
        self.check()
        return Counter(self, title, total, start)


class Counter:
    """Counts the units of one step into a job's standing."""

    def __init__(self, job: Job[Any], title: str, total: int | None, start: int) -> None:
        self._job = job
        self._title = title
        self._total = total
        self._start = self._done = start

    def __enter__(self) -> Self:
        self._began = time.monotonic()
        self._show()
        return self

    def advance(self, units: int = 1) -> None:
        """``units`` more are done."""
        self._job.check()
        self._done += units
        self._show()

    def _show(self) -> None:
        state = State(self._done, self._done - self._start, self._total, time.monotonic() - self._began, "")
        self._job.standing = replace(self._job.standing, title=self._title, progress=state)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self._job.check()


class Jobs(Generic[Result]):
    """Does jobs one after another on a thread of its own.

    Args:
        root: the folder below which jobs have theirs.
        work: does one job; what it writes into ``job.folder`` stays until the job is forgotten.
        waiting: how many may wait behind the one at work.
        keep: seconds for which a finished job's files stay.
        every: seconds between two looks for what to remove.
        clock: seconds that only grow.
    """

    def __init__(
        self,
        root: Path,
        work: Callable[[Job[Result]], Result],
        waiting: int,
        keep: float,
        every: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._work = work
        self._waiting = waiting
        self._keep = keep
        self._every = every
        self._clock = clock
        self._jobs: dict[str, Job[Result]] = {}  # by key, in the order of their coming
        self._changed = threading.Condition()
        self._closed = False
        for task in (self._run, self._sweep_again):
            threading.Thread(target=task, daemon=True, name=f"jobs{task.__name__}").start()

    def submit(self, upload: Path, owner: str, mode: str, fidelity: float) -> Job[Result]:
        """Put a job at the end of the line; the owner's earlier ones that are over are forgotten.

        Raises:
            UserError: the line is full, or the owner's last job is not over.
        """
        with self._changed:
            own = [job for job in self._jobs.values() if job.owner == owner]
            if any(not job.standing.phase.over for job in own):
                raise UserError("this page's last video is not finished yet; wait for it or cancel it")
            if len(self._open()) > self._waiting:
                raise UserError(f"{self._waiting} videos are waiting already; try again in some minutes")
            for job in own:
                self._remove(job)
            job = Job[Result](owner, self._root / secrets.token_urlsafe(16), upload.name, mode, fidelity)
            job.source.parent.mkdir(parents=True)
            hold(upload, job.source)
            self._jobs[job.key] = job
            self._changed.notify_all()
            return job

    def ahead(self, job: Job[Result]) -> int:
        """How many jobs are over before this one's turn comes."""
        with self._changed:
            keys = [each.key for each in self._open()]
            return keys.index(job.key) if job.key in keys else 0

    def busy(self, owner: str) -> bool:
        """Whether the owner has a job that is not over."""
        with self._changed:
            return any(job.owner == owner for job in self._open())

    def cancel(self, owner: str) -> bool:
        """End the owner's job, waiting or at work; returns whether there was one."""
        with self._changed:
            own = [job for job in self._open() if job.owner == owner]
            for job in own:
                job.cancel()
                if job.standing.phase is Phase.WAITING:
                    self._finish(job, Standing(Phase.CANCELLED))
            return bool(own)

    def forget(self, owner: str) -> None:
        """The owner's page was closed: its job ends, its files go."""
        self.cancel(owner)
        with self._changed:
            for job in [job for job in self._jobs.values() if job.owner == owner]:
                if job.standing.phase.over:
                    self._remove(job)
                else:
                    job.owner = ""  # at work: removed when it is over

    def file(self, key: str, name: str) -> Path | None:
        """A file that the work of job ``key`` wrote directly into its folder, if it is there."""
        with self._changed:
            job = self._jobs.get(key)
            if job is None or job.standing.phase is not Phase.DONE:
                return None
            return next((path for path in job.folder.iterdir() if path.name == name and path.is_file()), None)

    def sweep(self) -> None:
        """Remove jobs that were over long ago."""
        with self._changed:
            now = self._clock()
            for job in [*self._jobs.values()]:
                if job.finished is not None and now - job.finished > self._keep:
                    self._remove(job)

    def close(self, patience: float = 60.0) -> None:
        """End every job; returns when none is at work, or after ``patience`` seconds."""
        with self._changed:
            self._closed = True
            for job in self._open():
                job.cancel()
            self._changed.notify_all()
            self._changed.wait_for(lambda: not self._at_work(), timeout=patience)

    def _open(self) -> list[Job[Result]]:
        return [job for job in self._jobs.values() if not job.standing.phase.over]

    def _at_work(self) -> list[Job[Result]]:
        return [job for job in self._jobs.values() if job.standing.phase is Phase.WORKING]

    def _remove(self, job: Job[Result]) -> None:
        del self._jobs[job.key]
        shutil.rmtree(job.folder, ignore_errors=True)

    def _finish(self, job: Job[Result], standing: Standing[Result]) -> None:
        # only what the work made is of use any more, and only where it succeeded
        shutil.rmtree(job.source.parent if standing.phase is Phase.DONE else job.folder, ignore_errors=True)
        job.standing = standing
        job.finished = self._clock()
        self._changed.notify_all()

    def _sweep_again(self) -> None:
        while not self._closed:
            time.sleep(self._every)
            self.sweep()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._closed or self._open())
                if self._closed:
                    return
                job = self._open()[0]
                job.standing = Standing(Phase.WORKING)
            standing = self._worked(job)
            with self._changed:
                self._finish(job, standing)
                if not job.owner:
                    self._remove(job)

    def _worked(self, job: Job[Result]) -> Standing[Result]:
        """Do the job; whatever happens is said in a sentence, for the line must go on."""
        try:
            job.check()
            return Standing(Phase.DONE, result=self._work(job))
        except Cancelled:
            return Standing(Phase.CANCELLED)
        except (UserError, WeightsMissing) as error:
            # paths within the job's folder say nothing to who uploaded a file
            text = str(error).replace(f"{job.source.parent}/", "").replace(f"{job.folder}/", "")
            return Standing(Phase.FAILED, message=text)
        except MemoryError:
            return Standing(Phase.FAILED, message=NO_MEMORY)
        except Exception as error:
            traceback.print_exc(file=sys.stderr)
            short = "out of memory" in str(error)
            return Standing(Phase.FAILED, message=NO_MEMORY if short else BROKEN)
