"""A degraded video file in, a restored one out."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from dvface.errors import UserError
from dvface.inference.windows import WindowedRestorer
from dvface.report.progress import Progress
from dvface.video.probe import probe
from dvface.video.read import read_frames
from dvface.video.write import write_video


def restore_file(restorer: WindowedRestorer, source: str | Path, target: str | Path) -> int:
    """Restore the whole picture of ``source`` into ``target`` at the same size and rate.

    Args:
        restorer: the model in windows.
        source: a video file.
        target: the video file to write, another than ``source``; appears only when whole. Sound is not
            copied.

    Returns:
        Frames restored.

    Raises:
        UserError: ``source`` is missing, no video, or has no frames; or both name one file.
    """
    info = probe(source)
    if Path(target).resolve() == Path(source).resolve():
        raise UserError(f"output {target} is the input itself; name another file")
    written = 0
    with Progress("restore", total=info.frames) as bar:

        def counted() -> Iterator[np.ndarray]:
            nonlocal written
            for frame in restorer(read_frames(source)):
                yield frame
                written += 1
                bar.advance()

        write_video(target, counted(), info.rate)
    return written
