"""What a task of a cluster job does."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from dvface.files import write_json
from dvface.sweeps.child import Child

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

SAVE_SECONDS = 120  # from SLURM's warning to the end of a job
PAUSE_SECONDS = 0.2
INTERRUPTED = (130, 143)  # exit codes after SIGINT and SIGTERM


class TrainTask:
    """Runs a training command; queued again, it goes on, since the command names its run.

    SLURM starts it once for each task of a job, and each task starts the command: training finds out by itself which
    of them it is. The first one keeps the log.

    Args:
        command: the words that start training.
        place: working directory.
        log: file that the first task's output is appended to; further ones append ``.RANK`` to its name.
        result: file in which the first task writes its exit code and seconds.
    """

    def __init__(self, command: Sequence[str], place: Path, log: Path, result: Path) -> None:
        self.command = tuple(command)
        self.place = place
        self.log = log
        self.result = result
        self._child: Child | None = None

    def __call__(self) -> None:
        """Run the command to its end.

        Raises:
            RuntimeError: training failed, or was interrupted and not queued again; SLURM then ends the other tasks.
        """
        from submitit import JobEnvironment

        rank = JobEnvironment().global_rank
        os.chdir(self.place)
        log = self.log if rank == 0 else self.log.with_name(f"{self.log.name}.{rank}")
        self._child = Child(self.command, log, os.environ)
        # Not Popen.wait: `checkpoint` is called in the midst of it and must be able to wait, too.
        while (code := self._child.poll()) is None:
            time.sleep(PAUSE_SECONDS)
        if code in INTERRUPTED:
            # SLURM's warnings go to training and to this process in any order: let the one for this process come.
            time.sleep(SAVE_SECONDS)
            raise RuntimeError(f"interrupted with exit code {code}, and not queued again")
        if rank == 0:
            write_json(self.result, {"exit": code, "seconds": round(self._child.seconds, 1)})
        if code:
            raise RuntimeError(f"training ended with exit code {code}; see {log}")

    def checkpoint(self) -> DelayedSubmission:
        """Let training save and end; called by submitit before it queues the job again.

        Returns:
            The same task, to be started again.
        """
        from submitit.helpers import DelayedSubmission

        if self._child is not None:
            self._child.interrupt()
            deadline = time.monotonic() + SAVE_SECONDS / 2
            while self._child.poll() is None and time.monotonic() < deadline:
                time.sleep(PAUSE_SECONDS)
        return DelayedSubmission(TrainTask(self.command, self.place, self.log, self.result))
