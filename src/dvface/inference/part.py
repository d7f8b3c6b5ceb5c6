"""A job that can be interrupted: what is done so far lies beside the output, under its name and ``.part``."""

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dvface.errors import UserError
from dvface.files import write_json

JOB, FACES = "job.json", "faces.json"


class Part:
    """The folder ``OUTPUT.part``: what is restored, the faces found, and whole pieces of the result.

    Every piece is a file that plays by itself.

    Args:
        output: the file or folder that the job makes.
        job: what the result depends on, plain types only; a folder of another job is begun anew.
        suffix: of the pieces.
    """

    def __init__(self, output: Path, job: Mapping[str, Any], suffix: str) -> None:
        self.folder = output.with_name(output.name + ".part")
        self._job = json.loads(json.dumps(dict(job)))
        self._suffix = suffix

    @property
    def faces(self) -> Path:
        """Where the faces that were found are kept."""
        return self.folder / FACES

    def begin(self) -> list[str]:
        """Make the folder, or take over what an earlier run of the same job left; returns what to say of it.

        Raises:
            UserError: something that no job left has its name.
        """
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
        elif not (self.folder / JOB).is_file():
            if not self.folder.is_dir() or any(self.folder.iterdir()):
                raise UserError(f"{self.folder} is in the way and was not made by dvface; move it away")
        elif self._left() == self._job:
            return [f"{self.folder} goes on behind piece {len(self.pieces())}"] if self.pieces() else []
        else:
            shutil.rmtree(self.folder)
            self.folder.mkdir()
            write_json(self.folder / JOB, self._job)
            return [f"{self.folder} was begun with another input, model or setting, and starts anew"]
        write_json(self.folder / JOB, self._job)
        return []

    def _left(self) -> Any:
        try:
            return json.loads((self.folder / JOB).read_text(encoding="utf-8"))
        except ValueError:
            return None

    def piece(self, number: int) -> Path:
        """The file of a piece, counted from 0."""
        return self.folder / f"{number:05d}{self._suffix}"

    def pieces(self) -> list[Path]:
        """The pieces that are there, from the first on."""
        found: list[Path] = []
        while (piece := self.piece(len(found))).exists():
            found.append(piece)
        return found

    def remove(self) -> None:
        """The job is done."""
        shutil.rmtree(self.folder)

    @contextmanager
    def kept(self) -> Iterator[None]:
        """What fails or is interrupted within leaves whole pieces, or nothing."""
        try:
            yield
        except BaseException:
            if not self.pieces():
                self.remove()
            raise
