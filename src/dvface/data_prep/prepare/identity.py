"""Whether a clip shows one person, and which."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from dvface.data_prep.prepare.face_clip import FaceClip, Verdict


@dataclass(frozen=True)
class Person:
    """Who is seen in a clip.

    Attributes:
        embedding: of the clip's middle, None where identity is not looked at.
        verdict: whether it is one person throughout.
    """

    embedding: np.ndarray | None
    verdict: Verdict


class Identity(Protocol):
    """Looks at who is seen.

    Attributes:
        files: names of the weights files.
    """

    files: tuple[str, ...]

    def __call__(self, clip: FaceClip) -> Person:
        """The person in ``clip``."""
        ...


class NoIdentity:
    """Does not look: people are told apart by recording alone."""

    files: tuple[str, ...] = ()

    def __call__(self, clip: FaceClip) -> Person:
        """See `Identity`."""
        return Person(None, Verdict({}, None))


class DlibIdentity:
    """dlib's 128-number identity in the first, the middle and the last frame.

    Args:
        most: largest distance of either end to the middle; dlib calls two faces of less than 0.6 one person.

    Raises:
        WeightsMissing: dlib's networks are not at hand.
    """

    def __init__(self, most: float) -> None:
        from dvface.perception.faces import DlibFaces

        self.most = most
        self._faces = DlibFaces()
        self.files = (self._faces.file_name,)

    def __call__(self, clip: FaceClip) -> Person:
        """See `Identity`."""
        from dvface.perception.faces import box_of

        last = len(clip.frames) - 1
        first, middle, end = (
            self._faces.embed(np.ascontiguousarray(clip.frames[at]), box_of(clip.landmarks[at]))
            for at in (0, last // 2, last)
        )
        distance = round(float(max(np.linalg.norm(first - middle), np.linalg.norm(end - middle))), 4)
        reason = f"identity changes by {distance:.2f}, more than most={self.most:g}" if distance > self.most else None
        return Person(middle, Verdict({"identity_change": distance}, reason))
