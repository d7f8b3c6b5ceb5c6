"""The one folder that holds everything a running page writes."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "dvface-app-"


@contextmanager
def workplace(parent: Path | None = None) -> Iterator[Path]:
    """A private folder that is gone afterwards; folders that killed processes of this machine left go first.

    Args:
        parent: where; by default where temporary files lie.
    """
    place = parent or Path(tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*"):
        if _abandoned(left):
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=place))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _abandoned(folder: Path) -> bool:
    """Whether this user's process that made ``folder`` lives no more."""
    number = folder.name.removeprefix(PREFIX).partition("-")[0]
    if not number.isdecimal() or folder.is_symlink() or folder.stat().st_uid != os.getuid():
        return False
    try:
        os.kill(int(number), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False


def hold(file: Path, target: Path) -> None:
    """Have ``file`` at ``target`` too, so that it stays when ``file`` goes; a link where the disk allows one."""
    try:
        os.link(file, target)
    except OSError:
        shutil.copyfile(file, target)
