"""What a sweep's jobs are, how they end, and what may start them."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from dvface.report.escape import printable

TAIL_BYTES = 4096
LONGEST_LINE = 200


@dataclass(frozen=True)
class Job:
    """One training run.

    Attributes:
        label: what tells it from the others, fit for a file's name.
        command: the words that start it.
        folder: the run's folder.
        nodes: machines that it trains on.
        devices: processes on each of them; auto where the machine decides.
    """

    label: str
    command: tuple[str, ...]
    folder: Path
    nodes: int
    devices: int | Literal["auto"]

    def log(self, folder: Path) -> Path:
        """The file with the job's output in the sweep's ``folder``."""
        return folder / f"{self.label}.log"


@dataclass(frozen=True)
class Outcome:
    """How a job ended.

    Attributes:
        state: skipped where the run was finished before, left where there was no time to begin it.
        seconds: that its process took; None where none ran.
        remark: why it failed.
    """

    state: Literal["finished", "failed", "skipped", "left"]
    seconds: float | None = None
    remark: str = ""

    @classmethod
    def of(cls, code: int, seconds: float, log: Path) -> "Outcome":
        """The outcome of a process that ended with exit ``code`` and wrote ``log``."""
        if code == 0:
            return cls("finished", seconds)
        return cls("failed", seconds, f"exit code {code}: {last_line(log)}; see {log}")

    def line(self, job: Job) -> str:
        """What the user is told when ``job`` ends."""
        return f"{self.state}: {job.label}{f': {self.remark}' if self.remark else ''}"


def always() -> bool:
    """A job may begin at any time."""
    return True


class Launcher(ABC):
    """Runs jobs somewhere."""

    @abstractmethod
    def check(self, jobs: Sequence[Job]) -> None:
        """Refuse what cannot work before anything is written.

        Raises:
            UserError: this machine or these jobs do not suit the launcher.
        """

    @abstractmethod
    def run(
        self, jobs: Sequence[Job], folder: Path, say: Callable[[str], None], may_begin: Callable[[], bool] = always
    ) -> Mapping[str, Outcome]:
        """Run the jobs; one that fails stops no other.

        Args:
            jobs: what to run.
            folder: of the sweep, for logs.
            say: prints a line for the user; one for each job that ends.
            may_begin: asked before jobs are begun; once it says no, all that have not begun are left.

        Returns:
            The outcomes by label.

        Raises:
            KeyboardInterrupt: the user wants to stop; no process of this machine is left running.
        """


def last_line(log: Path) -> str:
    """The last line with words in it, without marks that a terminal would obey; it may be shortened."""
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL_BYTES))
        lines = file.read().decode("utf-8", errors="replace").splitlines()
    words = [line.strip() for line in lines if line.strip()]
    return printable(words[-1])[:LONGEST_LINE] if words else "it printed nothing"
