"""Real processes that train, and die: forked from a server that has imported everything once."""

import multiprocessing
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from dvface.training.curves import read_curves
from dvface.training.run_folder import RunFolder

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(
    [
        "tests.training.processes",
        "dvface.training.run",
        "dvface.cli.main",
        "dvface.models.backbones.wan",  # diffusers, over a second
        "dvface.models.codebooks.moving_average",
    ]
)
PATIENCE = 400.0


def once(factory: pytest.TempPathFactory, name: str, fill: Callable[[Path], None]) -> Path:
    """A folder that is filled once, however many of pytest's processes ask for it."""
    root = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder = root / name
    with FileLock(root / f"{name}.lock"):
        if not (folder / "filled").exists():
            folder.mkdir()
            fill(folder)
            (folder / "filled").touch()
    return folder


def together(work: Callable[..., None], *arguments: Any) -> None:
    """Call ``work(rank, *arguments)`` in two processes at once, and wait for both."""
    processes = [CONTEXT.Process(target=work, args=(rank, *arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    end = time.monotonic() + PATIENCE
    for process in processes:
        process.join(max(0.1, end - time.monotonic()))
    hanging = [process for process in processes if process.is_alive()]
    for process in hanging:
        process.kill()
    assert not hanging, "a process waited for the other"
    assert [process.exitcode for process in processes] == [0, 0]


def free_ports(count: int) -> list[int]:
    """Ports of this machine that nobody uses."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _command(words: Sequence[str], environment: Mapping[str, str], said: str) -> None:
    """One `dvface` command in a process group of its own."""
    os.setsid()
    os.environ.update(environment)
    with open(said, "w", buffering=1) as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
        import torch

        from dvface.cli.main import run

        torch.set_num_threads(1)
        sys.argv = ["dvface", *words]
        run()


class Command:
    """One or several processes of one command, as a shell or torchrun would start them.

    Args:
        words: after ``dvface``.
        folder: where their words go.
        processes: how many.
    """

    def __init__(self, words: Sequence[str], folder: Path, processes: int = 1) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.said = [folder / f"said-{rank}.txt" for rank in range(processes)]
        (port,) = free_ports(1)
        self.processes = []
        for rank in range(processes):
            together = {
                "TORCHELASTIC_RUN_ID": "test",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "GROUP_RANK": "0",
                "WORLD_SIZE": str(processes),
                "LOCAL_WORLD_SIZE": str(processes),
            }
            environment = together if processes > 1 else {}
            process = CONTEXT.Process(target=_command, args=(list(words), environment, str(self.said[rank])))
            process.start()
            self.processes.append(process)

    def wait(self) -> list[int]:
        """Exit codes, once all have ended."""
        end = time.monotonic() + PATIENCE
        for process in self.processes:
            process.join(max(0.1, end - time.monotonic()))
            if process.exitcode is None:
                self.kill()
                raise AssertionError(f"no end within {PATIENCE} s: {self.words()}")
        return [int(process.exitcode or 0) for process in self.processes]

    def kill(self, signum: int = signal.SIGKILL) -> None:
        """Send a signal to every process and its loader workers."""
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(int(process.pid or 0), signum)
        if signum == signal.SIGKILL:
            for process in self.processes:
                process.join()

    def kill_at(self, folder: RunFolder, stage: str, step: int, signum: int = signal.SIGKILL) -> None:
        """Send the signal as soon as the stage has recorded ``step``."""
        end = time.monotonic() + PATIENCE
        while max((one for one, _ in read_curves(folder.curves(stage)).get("train/loss", ())), default=-1) < step:
            assert time.monotonic() < end, self.words()
            assert all(process.is_alive() for process in self.processes), self.words()
            time.sleep(0.01)
        self.kill(signum)

    def words(self) -> str:
        """All that the processes have said."""
        return "\n".join(path.read_text() for path in self.said if path.is_file())
