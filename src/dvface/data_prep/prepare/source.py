"""Where footage comes from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dvface.data_prep.plan import Rejection


@dataclass(frozen=True)
class Origin:
    """What a data set's layout says of a file.

    Attributes:
        recording: what must not be torn between training and test, such as the YouTube video that a clip was cut from.
        person: who is seen, where the layout says; people of the same name in different recordings are the same.
        split: ``train``, ``validation`` or ``test`` where the data set prescribes it.
    """

    recording: str
    person: str | None = None
    split: str | None = None


@dataclass(frozen=True)
class Source:
    """One video of the input: a file, a folder of frames, or a file within an archive.

    Attributes:
        key: unique in the input and safe in a shard: letters, digits, ``_`` and ``-`` only, at most 120 bytes.
        name: its path relative to the input as users know it; of an archive ``ARCHIVE/MEMBER``.
        path: the file, the folder of frames, or the archive; absolute.
        member: the name within the archive, None elsewhere.
        origin: what the layout says of it.
        size: bytes of the file, of the member, or of all frames.
    """

    key: str
    name: str
    path: Path
    member: str | None
    origin: Origin
    size: int


class Layout(Protocol):
    """How a known data set lies on the disk."""

    def find(self, root: Path) -> tuple[list[Source], list[Rejection]]:
        """Its videos in the order of their keys, and every file that is none, with the reason.

        Raises:
            UserError: ``root`` does not exist or holds no video.
        """
        ...
