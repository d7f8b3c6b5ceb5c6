"""A job's process on this machine."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


class Child:
    """A command under a guardian, so that it ends when this process does, however that ends.

    Args:
        command: its words.
        log: file that its output is appended to.
        environment: its environment variables.
    """

    def __init__(self, command: Sequence[str], log: Path, environment: Mapping[str, str]) -> None:
        self.log = log
        self._started = time.monotonic()
        log.parent.mkdir(parents=True, exist_ok=True)
        with open(log, "a", encoding="utf-8") as output:
            print(shlex.join(command), file=output, flush=True)
            self._process = subprocess.Popen(  # noqa: S603 - the sweep's own words, no shell
                [sys.executable, "-m", "dvface.sweeps.guardian", str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=dict(environment),
                start_new_session=True,
            )

    def poll(self) -> int | None:
        """The exit code; None while the command runs."""
        return self._process.poll()

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self._started

    def interrupt(self) -> None:
        """Ask the command to save and end."""
        self._process.terminate()

    def kill(self) -> None:
        """End the command at once, with all processes that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
