"""Layouts that ask nothing of names."""

from typing import ClassVar

from dvface.data_prep.prepare.layouts.base import Walked
from dvface.data_prep.prepare.names import shown
from dvface.data_prep.prepare.source import Origin
from dvface.data_prep.prepare.split import TEST, TRAIN, VALIDATION


class AnyFolder(Walked):
    """Videos, folders of frames and archives of videos at any depth; each is a recording of its own."""


class FrameFolders(Walked):
    """Folders of png or jpg frames at any depth; each is a recording of its own."""

    expected: ClassVar[str] = "a folder of png or jpg frames"
    videos: ClassVar[bool] = False


class SplitFolders(Walked):
    """Folders ``train``, ``validation`` and ``test`` that prescribe what is in them, at any depth.

    Each video is a recording of its own. What lies beside these folders does not fit.
    """

    expected: ClassVar[str] = "a path that begins with train/, validation/ or test/"

    def origin(self, stem: str) -> Origin | None:
        """See `Walked.origin`."""
        first, _, rest = stem.partition("/")
        return Origin(shown(stem), split=first) if rest and first in (TRAIN, VALIDATION, TEST) else None


class RFVLQ(Walked):
    """RFV-LQ: really degraded tracks, which are for testing only.

    Wang et al. 2024, arXiv 2410.11828: tracks of faces from old talk shows, series and films, without reference. How
    its files are called was not found in public material, so every video and folder of frames is taken, and which
    tracks come from one film is not known; that nothing may be trained on is what the set is made for.
    """

    def origin(self, stem: str) -> Origin:
        """See `Walked.origin`."""
        return Origin(shown(stem), split="test")
