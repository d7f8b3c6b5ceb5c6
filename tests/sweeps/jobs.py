"""What the tests of sweeps share: jobs that take a moment, and waiting for what they do."""

import os
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

from dvface.sweeps.jobs import Job

PATIENCE = 240.0
"""Seconds after which something will not happen any more."""


def job(label: str, code: str, *arguments: object) -> Job:
    """A job that runs some Python; no training, so that how jobs are run can be seen in a moment."""
    command = (sys.executable, "-c", textwrap.dedent(code), *map(str, arguments))
    return Job(label, command, Path(label), nodes=1, devices=1)


def wait_for(happened: Callable[[], bool]) -> None:
    """Wait until it happens, however busy the machine is.

    Raises:
        AssertionError: it does not.
    """
    deadline = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < deadline, "it never happened"
        time.sleep(0.05)


def alive(process: int) -> bool:
    """Whether a process is there and has not ended."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
