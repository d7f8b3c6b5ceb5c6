"""Runs one command and sees that it does not outlive the process that wanted it.

``python -m dvface.sweeps.guardian PARENT COMMAND…`` is to be started in a session of its own, so that a terminal's
Ctrl-C reaches the command once and by this way only. The command is interrupted (SIGINT, on which training saves) when
this process is asked to end, when SLURM warns that time is over (SIGUSR2), or when PARENT is gone.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

PAUSE_SECONDS = 0.2
WARNINGS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2)


def guard(parent: int, command: Sequence[str]) -> int:
    """Run ``command`` to its end.

    Args:
        parent: process that must be this one's parent as long as the command is wanted.
        command: its words.

    Returns:
        The command's exit code; 128 and the signal's number where a signal ended it.
    """
    interrupted = False

    def interrupt(number: int = 0, frame: FrameType | None = None) -> None:
        nonlocal interrupted
        if not interrupted:
            interrupted = True
            os.killpg(0, signal.SIGINT)  # the group, as a terminal does: training may have processes of its own

    # A handler is not inherited by the command, as SIG_IGN would be.
    signal.signal(signal.SIGINT, lambda number, frame: None)
    # This one shall be: SLURM sends it to all processes of a job, and it ends those that do not expect it.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)  # noqa: S603 - the sweep's own words, no shell
    for warning in WARNINGS:
        signal.signal(warning, interrupt)
    while (code := process.poll()) is None:
        if os.getppid() != parent:
            interrupt()
        time.sleep(PAUSE_SECONDS)
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(guard(int(sys.argv[1]), sys.argv[2:]))
