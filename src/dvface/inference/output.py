"""Where restored frames go: pieces of a video that are joined with its sound, or numbered pictures."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

from dvface.errors import UserError
from dvface.inference.options import RestoreOptions
from dvface.video.encodings import CONTAINERS, Encoding, check_encoding
from dvface.video.join import join, measure
from dvface.video.keep import piece_suffix, write_pictures
from dvface.video.pictures import replace_folder, write_png_folder
from dvface.video.timed import SourceFacts, TimedFrame

PICTURES = "pictures"


class Output(Protocol):
    """Takes frames piece by piece and makes the result of all pieces.

    Attributes:
        piece_suffix: of the pieces' names.
    """

    piece_suffix: str

    def write(self, piece: Path, frames: Iterable[TimedFrame], first: int) -> None:
        """Write a piece, which appears when whole; ``first`` is its first frame's number."""
        ...

    def frames(self, piece: Path) -> int:
        """How many frames a piece holds; 0 where it is damaged."""
        ...

    def finish(self, pieces: Sequence[Path]) -> list[str]:
        """Make the result; returns a sentence on each thing that is not as in the source."""
        ...


class VideoOutput:
    """`Output` of a video file.

    Args:
        target: the file.
        source: facts of what is restored.
        encoding: how the picture is stored.
    """

    def __init__(self, target: Path, source: SourceFacts, encoding: Encoding) -> None:
        check_encoding(encoding, target)
        self.piece_suffix = piece_suffix(encoding)
        self._target, self._source, self._encoding = target, source, encoding
        self._notes: list[str] = []

    def write(self, piece: Path, frames: Iterable[TimedFrame], first: int) -> None:
        """See `Output`."""
        self._notes = write_pictures(piece, frames, self._source, self._encoding)

    def frames(self, piece: Path) -> int:
        """See `Output`."""
        try:
            return len(measure(piece).times)
        except UserError:
            return 0

    def finish(self, pieces: Sequence[Path]) -> list[str]:
        """See `Output`."""
        notes = self._notes + join(self._target, pieces, self._source)
        return list(dict.fromkeys(notes))


class PictureOutput:
    """`Output` of a folder of numbered PNGs, of 16 bits a sample where the source has more than 8.

    Args:
        target: the folder.
        source: facts of what is restored.
    """

    piece_suffix = ""

    def __init__(self, target: Path, source: SourceFacts) -> None:
        self._target, self._source = target, source

    def write(self, piece: Path, frames: Iterable[TimedFrame], first: int) -> None:
        """See `Output`."""
        write_png_folder(piece, (frame.pixels for frame in frames), first)

    def frames(self, piece: Path) -> int:
        """See `Output`."""
        return len(list(piece.iterdir()))

    def finish(self, pieces: Sequence[Path]) -> list[str]:
        """See `Output`."""
        together = pieces[0].with_name(PICTURES)
        together.mkdir(exist_ok=True)
        for piece in pieces:
            for picture in piece.iterdir():
                picture.replace(together / picture.name)
        replace_folder(together, self._target)
        if sounds := [stream for stream in self._source.others if stream.kind == "audio"]:
            return [f"Pictures hold no sound: {len(sounds)} stream(s) of the source were left out."]
        return []


def chosen_output(target: Path, source: SourceFacts, options: RestoreOptions) -> Output:
    """The output that a name asks for.

    Raises:
        UserError: the suffix is none of a video, or codec, quality and bits do not fit it.
    """
    if not target.suffix:
        if (options.codec, options.quality, options.bits) != (None, None, None):
            raise UserError(
                f"output {target} has no suffix and becomes a folder of PNGs as deep as the input, for which codec, "
                "quality and bits mean nothing; leave them out, or name a video such as .mp4"
            )
        return PictureOutput(target, source)
    if target.suffix.lower() not in CONTAINERS:
        raise UserError(
            f"output {target} has no suffix of a video; name it {', '.join(CONTAINERS)}, or without a suffix for a "
            "folder of pictures"
        )
    codec = options.codec or ("vp9" if target.suffix.lower() == ".webm" else "h264")
    return VideoOutput(target, source, Encoding(codec, options.quality, options.bits))


def copies_untouched(source: Path, target: Path, options: RestoreOptions) -> bool:
    """Whether a clip that is not to be changed can be copied byte by byte."""
    return (
        source.is_file()
        and source.suffix.lower() == target.suffix.lower()
        and options.export == "restored"
        and (options.codec, options.quality, options.bits) == (None, None, None)
    )
