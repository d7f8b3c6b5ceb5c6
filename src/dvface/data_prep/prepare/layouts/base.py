"""From what lies in a folder to sources: what all layouts share."""

import re
from pathlib import Path, PurePosixPath
from typing import ClassVar

from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.layouts.walk import Found, walk
from dvface.data_prep.prepare.names import keys, shown
from dvface.data_prep.prepare.source import Origin, Source
from dvface.errors import UserError


class Walked:
    """A `Layout` that looks at every file and asks `origin` about each that may be a video.

    Attributes:
        expected: how a name must look; for messages.
        videos: whether video files are taken, and not only folders of frames.
    """

    expected: ClassVar[str] = "a video file or a folder of frames"
    videos: ClassVar[bool] = True

    def origin(self, stem: str) -> Origin | None:
        """What the layout says of a file, None where it does not fit.

        Args:
            stem: its path relative to the input, with ``/`` and without a file's suffix.
        """
        return Origin(shown(stem))

    def find(self, root: Path) -> tuple[list[Source], list[Rejection]]:
        """See `Layout.find`; ``root`` may be one file too."""
        fitting: list[tuple[Found, Origin]] = []
        rejected: list[Rejection] = []
        for item in walk(root, self.videos):
            if isinstance(item, Rejection):
                rejected.append(item)
            elif origin := self.origin(item.stem):
                fitting.append((item, origin))
            else:
                rejected.append(Rejection(shown(item.full), f"does not fit the layout: {self.expected} is expected"))
        rejected.sort(key=lambda one: (one.source, one.reason))
        if not fitting:
            first = f": {rejected[0].source} {rejected[0].reason}" if rejected else ""
            raise UserError(
                f"input={root} holds no video of this layout, which is {self.expected}; give another folder or layout, "
                f"{len(rejected)} files were refused{first}"
            )
        made = keys((item.full, item.stem) for item, _ in fitting)
        sources = [
            Source(key, shown(item.full), item.path, item.member, origin, item.size)
            for key, (item, origin) in zip(made, fitting, strict=True)
        ]
        return sorted(sources, key=lambda source: source.key), rejected


def last(stem: str) -> str:
    """The last part of a path."""
    return PurePosixPath(stem).name


YOUTUBE = r"[A-Za-z0-9_-]{11}"
"""An identifier of YouTube's, as VFHQ and CelebV-HQ have them; it may hold ``_`` and ``-`` anywhere."""


def matched(pattern: str, text: str) -> re.Match[str] | None:
    """The match of the whole text, in ASCII."""
    return re.fullmatch(pattern, text, re.ASCII)
