"""Jobs of a sweep on this machine."""

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from tests.sweeps.jobs import PATIENCE, alive, job, wait_for

from dvface.sweeps.jobs import last_line
from dvface.sweeps.local import LocalLauncher


class TestLocal:
    def test_a_failing_job_stops_no_other_and_its_last_words_are_told(self, tmp_path: Path) -> None:
        jobs = [
            job("tiny/a", "print('error: no\\x1b[31m luck'); raise SystemExit(3)"),
            job("tiny/b", "print('all is well')"),
        ]
        said: list[str] = []
        outcomes = LocalLauncher(1, []).run(jobs, tmp_path, said.append)
        assert [outcomes[label].state for label in ("tiny/a", "tiny/b")] == ["failed", "finished"]
        assert "exit code 3" in outcomes["tiny/a"].remark
        assert "error: no\\x1b[31m luck" in outcomes["tiny/a"].remark
        assert "all is well" in (tmp_path / "tiny/b.log").read_text()
        assert len(said) == 2

    def test_once_no_job_may_begin_the_rest_is_left(self, tmp_path: Path) -> None:
        answers = iter([True, False])
        jobs = [job(f"tiny/{letter}", "print('done')") for letter in "abc"]
        outcomes = LocalLauncher(1, []).run(jobs, tmp_path, print, lambda: next(answers))
        assert [outcomes[each.label].state for each in jobs] == ["finished", "left", "left"]

    def test_no_more_jobs_run_at_once_than_allowed_and_cores_and_gpus_are_shared(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
        code = """
        import os, sys, time
        from pathlib import Path
        here = Path(sys.argv[1])
        mine = here / os.environ["CUDA_VISIBLE_DEVICES"]
        mine.mkdir()  # fails where another job has the same GPU now
        (here / f"{os.getpid()}.begun").touch()
        end = time.monotonic() + 120
        while len(list(here.glob("*.begun"))) < 2:  # the first waits for the second
            assert time.monotonic() < end
            time.sleep(0.02)
        (here / f"{os.getpid()}.txt").write_text(f"{len([p for p in here.iterdir() if p.is_dir()])}")
        (here / f"{os.getpid()}.threads").write_text(os.environ["OMP_NUM_THREADS"])
        mine.rmdir()
        """
        together = tmp_path / "together"
        together.mkdir()
        jobs = [job(f"tiny/{number}", code, together) for number in range(5)]
        outcomes = LocalLauncher(2, [4, 7]).run(jobs, tmp_path, print)
        assert {outcome.state for outcome in outcomes.values()} == {"finished"}
        assert max(int(path.read_text()) for path in together.glob("*.txt")) == 2
        cores = len(os.sched_getaffinity(0))
        assert {path.read_text() for path in together.glob("*.threads")} == {str(max(1, cores // 2))}

    STUBBORN = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    here = Path(sys.argv[1])
    fellow = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])  # as a second rank
    (here / "fellow").write_text(str(fellow.pid))
    (here / "begun").write_text(str(os.getpid()))
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        time.sleep(0.3)
        (here / "saved").touch()
        sys.exit(130)
    """

    SWEEP = """
    import sys
    from pathlib import Path
    from dvface.sweeps.jobs import Job
    from dvface.sweeps.local import LocalLauncher
    here = Path(sys.argv[1])
    command = (sys.executable, "-c", sys.argv[2], str(here))
    try:
        LocalLauncher(1, []).run([Job("tiny/a", command, here, 1, 1)], here, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
    """

    @pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
    def test_a_job_saves_and_ends_when_the_sweep_is_interrupted_or_killed(
        self, tmp_path: Path, end: signal.Signals
    ) -> None:
        code, stubborn = textwrap.dedent(self.SWEEP), textwrap.dedent(self.STUBBORN)
        process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path), stubborn])
        wait_for((tmp_path / "begun").is_file)
        wait_for(lambda: (tmp_path / "begun").read_text() != "")
        children = [int((tmp_path / name).read_text()) for name in ("begun", "fellow")]
        process.send_signal(end)
        assert process.wait(PATIENCE) == (130 if end == signal.SIGINT else -signal.SIGKILL)
        if end == signal.SIGINT:
            assert (tmp_path / "saved").is_file(), "the sweep did not wait for its job"
        wait_for(lambda: not any(alive(child) for child in children))
        assert (tmp_path / "saved").is_file()

    def test_a_bar_s_last_state_is_the_last_line(self, tmp_path: Path) -> None:
        (tmp_path / "log").write_text("begin\n10 %\r20 %\r30 %\n\n")
        assert last_line(tmp_path / "log") == "30 %"
