"""Everything that a page writes is in one folder, and that folder goes."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dvface.app.folders import PREFIX, hold, workplace


def test_the_folder_is_private_and_gone_afterwards_even_on_an_error(tmp_path: Path) -> None:
    def interrupted() -> None:
        with workplace(tmp_path) as folder:
            assert folder.stat().st_mode & 0o077 == 0
            (folder / "jobs").mkdir()
            (folder / "jobs" / "upload.mp4").write_bytes(b"face")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_is_asked_to_end_removes_its_folder_first(tmp_path: Path) -> None:
    script = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from dvface.app.folders import workplace\n"
        "from dvface.files import orderly_end\n"
        "with orderly_end(), workplace(Path(sys.argv[1])) as folder:\n"
        "    (folder / 'upload.mp4').write_bytes(b'face')\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert ended.returncode == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_page_left_goes_at_the_next_start_and_a_living_one_keeps_its_own(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-S", "-c", ""])
    ended.wait()
    left = tmp_path / f"{PREFIX}{ended.pid}-abc"
    living = tmp_path / f"{PREFIX}{os.getppid()}-abc"
    foreign = tmp_path / f"{PREFIX}notes"
    for folder in (left, living, foreign):
        folder.mkdir()
    with workplace(tmp_path):
        assert not left.exists()
        assert living.is_dir()
        assert foreign.is_dir()


def test_a_held_file_stays_when_the_other_goes(tmp_path: Path) -> None:
    (tmp_path / "upload").write_bytes(b"pictures")
    hold(tmp_path / "upload", tmp_path / "held")
    (tmp_path / "upload").unlink()
    assert (tmp_path / "held").read_bytes() == b"pictures"
