"""What is done to one uploaded video."""

import time
from dataclasses import dataclass

from dvface.app.comparison import Comparison, compare
from dvface.app.engine import Engine, Report
from dvface.app.jobs import Job
from dvface.app.limits import Limits, restored_name

PAIR = "before-and-after.mp4"


@dataclass(frozen=True)
class Restored:
    """A finished job.

    Attributes:
        file: name of the restored file in the job's folder.
        pair: name of the player's video there.
        report: what was done.
        seconds: that the restoration took.
        comparison: before against after.
    """

    file: str
    pair: str
    report: Report
    seconds: float
    comparison: Comparison


class Restoration:
    """Restores a job's video, measures it and makes the player's video.

    Args:
        engine: restores.
        limits: looked at once more, since requests need not come from the page.
    """

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self._engine = engine
        self._limits = limits

    def __call__(self, job: Job["Restored"]) -> Restored:
        """Do ``job``; its folder holds the restored file and the player's video afterwards.

        Raises:
            UserError: the video is over a limit or cannot be restored.
        """
        upload = self._limits.admit(job.source)
        target = job.folder / restored_name(job.name)
        began = time.monotonic()
        report = self._engine.restore(job.source, target, job.mode, job.fidelity, job.watch)
        seconds = time.monotonic() - began
        pair = job.folder / PAIR
        comparison = compare(job.source, target, pair, upload.frames, upload.rate, job.watch)
        return Restored(target.name, pair.name, report, seconds, comparison)
