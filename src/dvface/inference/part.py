"""A job that can be interrupted: what is done so far lies beside the output, under its name and ``.part``."""

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from dvface.errors import UserError
from dvface.files import write_json

JOB, FACES, LOCK = "job.json", "faces.json", "lock"


class Part:
    """The folder ``OUTPUT.part``: what is restored, the faces found, and whole pieces of the result.

    Every piece is a file that plays by itself.

    Args:
        output: the file or folder that the job makes.
        job: what the result depends on, plain types only.
        suffix: of the pieces.
        whole: whether a piece is undamaged.
        overwrite: whether pieces of another job may go.
    """

    def __init__(
        self,
        output: Path,
        job: Mapping[str, Any],
        suffix: str,
        whole: Callable[[Path], bool] = Path.exists,
        overwrite: bool = False,
    ) -> None:
        self.folder = output.with_name(output.name + ".part")
        self._job = json.loads(json.dumps(dict(job)))
        self._suffix, self._whole, self._overwrite = suffix, whole, overwrite

    @property
    def faces(self) -> Path:
        """Where the faces that were found are kept."""
        return self.folder / FACES

    @contextmanager
    def begun(self) -> Iterator[list[str]]:
        """Make the folder, or take over what an earlier run of the same job left; yields what to say of it.

        What fails or is interrupted within leaves whole pieces, or nothing.

        Raises:
            UserError: another process works on this output, the pieces there are of another job, or something that no
                job left has the folder's name.
        """
        if self.folder.exists() and not self._ours():
            raise UserError(f"{self.folder} is in the way and was not made by dvface; move it away")
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self.folder / LOCK, timeout=0):
                notes = self._taken_over()
                try:
                    yield notes
                except BaseException:
                    if not self.pieces():
                        self.remove()
                    raise
        except Timeout as error:
            raise UserError(
                f"another dvface writes this output ({self.folder}); wait for it, or name another"
            ) from error

    def _taken_over(self) -> list[str]:
        notes: list[str] = []
        if (self.folder / JOB).is_file() and self._left() != self._job:
            if self.pieces() and not self._overwrite:
                raise UserError(
                    f"{self.folder} holds {len(self.pieces())} pieces that were made from another input, with another "
                    "model or with other settings; give those again to go on, overwrite=true to begin anew, or name "
                    "another output"
                )
            notes.append(f"{self.folder} was begun with another input, model or setting, and starts anew")
            self._empty()
        pieces = self.pieces()
        sound = next((number for number, piece in enumerate(pieces) if not self._whole(piece)), len(pieces))
        for piece in pieces[sound:]:
            _delete(piece)
        if sound < len(pieces):
            notes.append(f"{pieces[sound]} is damaged; it and what follows is made anew")
        if sound:
            notes.append(f"{self.folder} goes on behind piece {sound}")
        write_json(self.folder / JOB, self._job)
        return notes

    def _empty(self) -> None:
        for file in self.folder.iterdir():
            if file.name != LOCK:
                _delete(file)

    def _ours(self) -> bool:
        files = self.folder.iterdir() if self.folder.is_dir() else [self.folder]
        return (self.folder / JOB).is_file() or all(file.name == LOCK for file in files)

    def _left(self) -> Any:
        try:
            return json.loads((self.folder / JOB).read_text(encoding="utf-8"))
        except ValueError:
            return None

    def piece(self, number: int) -> Path:
        """The file of a piece, counted from 0."""
        return self.folder / f"{number:05d}{self._suffix}"

    def pieces(self) -> list[Path]:
        """The pieces that are there, from the first on; an emptied folder of pictures is none."""
        found: list[Path] = []
        while (piece := self.piece(len(found))).is_file() or (piece.is_dir() and any(piece.iterdir())):
            found.append(piece)
        return found

    def remove(self) -> None:
        """The job is done."""
        shutil.rmtree(self.folder)


def _delete(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()
