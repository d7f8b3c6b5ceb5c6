"""Jobs as processes on this machine."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dvface.report.progress import Progress
from dvface.sweeps.child import Child
from dvface.sweeps.jobs import Job, Launcher, Outcome, always

PAUSE_SECONDS = 0.2


class LocalLauncher(Launcher):
    """Starts the next job when one ends.

    Args:
        jobs: processes at once, 1 or more.
        gpus: numbers of the GPUs that are dealt out, one a job; where none is named every job sees all.

    Raises:
        ValueError: fewer than 1 job.
    """

    def __init__(self, jobs: int, gpus: list[int]) -> None:
        if jobs < 1:
            raise ValueError(f"jobs={jobs}: give 1 or more")
        self.jobs = jobs
        self.gpus = gpus

    def check(self, jobs: Sequence[Job]) -> None:
        """Every machine will do."""

    def run(
        self, jobs: Sequence[Job], folder: Path, say: Callable[[str], None], may_begin: Callable[[], bool] = always
    ) -> dict[str, Outcome]:
        """See `Launcher.run`."""
        waiting = list(jobs)
        running: dict[int, tuple[Job, Child]] = {}
        outcomes: dict[str, Outcome] = {}
        with Progress("jobs", total=len(jobs)) as progress:
            try:
                while waiting or running:
                    for place in [place for place in range(self.jobs) if place not in running][: len(waiting)]:
                        if not may_begin():
                            outcomes |= {job.label: Outcome("left") for job in waiting}
                            waiting.clear()
                            break
                        job = waiting.pop(0)
                        running[place] = job, Child(job.command, job.log(folder), self._environment(place))
                    time.sleep(PAUSE_SECONDS)
                    for place, (job, child) in list(running.items()):
                        code = child.poll()
                        if code is not None:
                            del running[place]
                            outcomes[job.label] = Outcome.of(code, child.seconds, child.log)
                            say(outcomes[job.label].line(job))
                            progress.advance(note=job.label)
            except BaseException:
                _end([child for _, child in running.values()], say)
                raise
        return outcomes

    def _environment(self, place: int) -> Mapping[str, str]:
        """What the job at ``place``, from 0, finds in its environment."""
        environment = dict(os.environ)
        if self.jobs > 1:
            # Each job would otherwise use all cores, and they would fight for them.
            environment.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // self.jobs)))
        if self.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = str(self.gpus[place % len(self.gpus)])
        return environment


def _cores() -> int:
    # Not all systems can say which cores this process may use.
    allowed = getattr(os, "sched_getaffinity", None)
    return len(allowed(0)) if allowed else os.cpu_count() or 1


def _end(children: Sequence[Child], say: Callable[[str], None]) -> None:
    """Let the children save and end; a second Ctrl-C ends them at once."""
    for child in children:
        child.interrupt()
    if children:
        say(f"waiting until {len(children)} running jobs have saved; Ctrl-C again ends them at once")
    try:
        while any(child.poll() is None for child in children):
            time.sleep(PAUSE_SECONDS)
    except KeyboardInterrupt:
        for child in children:
            child.kill()
