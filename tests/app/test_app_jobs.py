"""One job at work, the others in a line, and no file left behind."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dvface.app.jobs import BROKEN, NO_MEMORY, Job, Jobs, Phase
from dvface.errors import UserError

PATIENCE = 120.0


class Gate:
    """Work that counts to three and waits before each count until it is let through."""

    def __init__(self) -> None:
        self.let = threading.Semaphore(0)
        self.order: list[str] = []
        self.at_once = 0
        self.most_at_once = 0

    def __call__(self, job: Job[str]) -> str:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            assert job.source.is_file()
            self.order.append(job.owner)
            with job.watch("count", 3) as counter:
                for _ in range(3):
                    assert self.let.acquire(timeout=PATIENCE)
                    counter.advance()
            (job.folder / "result.txt").write_text(job.owner)
            return f"done for {job.owner}"
        finally:
            self.at_once -= 1


@pytest.fixture
def gate() -> Gate:
    return Gate()


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    path = tmp_path / "uploads" / "old.mp4"
    path.parent.mkdir()
    path.write_bytes(b"pictures")
    return path


@pytest.fixture
def jobs(gate: Gate, tmp_path: Path) -> Iterator[Jobs[str]]:
    made = Jobs(tmp_path / "jobs", gate, waiting=2, keep=100.0)
    yield made
    gate.let.release(100)
    made.close()


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def test_jobs_are_done_one_at_a_time_in_the_order_of_their_coming(jobs: Jobs[str], gate: Gate, upload: Path) -> None:
    line = [jobs.submit(upload, owner, "auto", 0.0) for owner in ("ann", "bob", "cy")]
    until(lambda: line[0].standing.phase is Phase.WORKING)
    assert [jobs.ahead(job) for job in line] == [0, 1, 2]
    assert [job.standing.phase for job in line[1:]] == [Phase.WAITING] * 2
    gate.let.release(9)
    until(lambda: line[2].standing.phase is Phase.DONE)
    assert gate.order == ["ann", "bob", "cy"]
    assert gate.most_at_once == 1
    assert line[2].standing.result == "done for cy"


def test_progress_counts_and_estimates_the_time_left(jobs: Jobs[str], gate: Gate, upload: Path) -> None:
    job = jobs.submit(upload, "ann", "auto", 0.0)
    gate.let.release(2)
    until(lambda: job.standing.progress and job.standing.progress.completed == 2)
    progress = job.standing.progress
    assert progress is not None
    assert (job.standing.title, progress.total) == ("count", 3)
    assert progress.seconds_left == pytest.approx(progress.elapsed / 2)


def test_a_full_line_is_refused(jobs: Jobs[str], upload: Path) -> None:
    first = jobs.submit(upload, "ann", "auto", 0.0)
    until(lambda: first.standing.phase is Phase.WORKING)
    for owner in ("bob", "cy"):
        jobs.submit(upload, owner, "auto", 0.0)
    with pytest.raises(UserError, match="2 videos are waiting already"):
        jobs.submit(upload, "dee", "auto", 0.0)


def test_a_page_has_one_job_at_a_time(jobs: Jobs[str], upload: Path) -> None:
    jobs.submit(upload, "ann", "auto", 0.0)
    assert jobs.busy("ann")
    with pytest.raises(UserError, match="not finished yet"):
        jobs.submit(upload, "ann", "auto", 0.0)


def test_cancelling_ends_the_work_at_its_next_step_and_the_line_goes_on(
    jobs: Jobs[str], gate: Gate, upload: Path
) -> None:
    first, second = (jobs.submit(upload, owner, "auto", 0.0) for owner in ("ann", "bob"))
    until(lambda: first.standing.phase is Phase.WORKING)
    assert jobs.cancel("ann")
    assert first.unwanted
    gate.let.release(1)
    until(lambda: first.standing.phase is Phase.CANCELLED)
    assert not first.folder.exists()
    gate.let.release(3)
    until(lambda: second.standing.phase is Phase.DONE)
    assert not jobs.cancel("ann")


def test_a_waiting_job_is_cancelled_at_once_and_never_begun(jobs: Jobs[str], gate: Gate, upload: Path) -> None:
    first, second, third = (jobs.submit(upload, owner, "auto", 0.0) for owner in ("ann", "bob", "cy"))
    until(lambda: first.standing.phase is Phase.WORKING)
    jobs.cancel("bob")
    assert second.standing.phase is Phase.CANCELLED
    assert jobs.ahead(third) == 1
    gate.let.release(6)
    until(lambda: third.standing.phase is Phase.DONE)
    assert gate.order == ["ann", "cy"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (lambda job: UserError(f"{job.source} is no video; give one"), "old.mp4 is no video; give one"),
        (lambda job: UserError(f"{job.folder}/out.mp4 is full"), "out.mp4 is full"),
        (lambda job: ZeroDivisionError("/secret/place"), BROKEN),
        (lambda job: MemoryError(), NO_MEMORY),
        (lambda job: RuntimeError("CUDA out of memory. Tried to allocate"), NO_MEMORY),
    ],
)
def test_what_goes_wrong_is_one_sentence_without_a_folder_and_the_next_job_is_done(
    error: Callable[[Job[str]], Exception], said: str, upload: Path, tmp_path: Path
) -> None:
    def work(job: Job[str]) -> str:
        if job.owner == "ann":
            raise error(job)
        return "fine"

    jobs = Jobs(tmp_path / "jobs", work, waiting=2, keep=100.0)
    first, second = (jobs.submit(upload, owner, "auto", 0.0) for owner in ("ann", "bob"))
    until(lambda: second.standing.phase is Phase.DONE)
    jobs.close()
    assert (first.standing.phase, first.standing.message) == (Phase.FAILED, said)
    assert not first.folder.exists()


def test_only_what_a_finished_job_made_is_served(jobs: Jobs[str], gate: Gate, upload: Path) -> None:
    job = jobs.submit(upload, "ann", "auto", 0.0)
    until(lambda: job.standing.phase is Phase.WORKING)
    assert jobs.file(job.key, "result.txt") is None
    gate.let.release(3)
    until(lambda: job.standing.phase is Phase.DONE)
    served = jobs.file(job.key, "result.txt")
    assert served is not None
    assert served.read_text() == "ann"
    assert not job.source.exists()
    for name in ("old.mp4", "input", "../jobs", "", "."):
        assert jobs.file(job.key, name) is None
    assert jobs.file("guessed", "result.txt") is None


def test_a_job_outlives_its_upload(jobs: Jobs[str], gate: Gate, upload: Path) -> None:
    job = jobs.submit(upload, "ann", "auto", 0.0)
    upload.unlink()
    gate.let.release(3)
    until(lambda: job.standing.phase is Phase.DONE)


def test_the_next_job_of_a_page_replaces_the_files_of_its_last(jobs: Jobs[str], gate: Gate, upload: Path) -> None:
    first = jobs.submit(upload, "ann", "auto", 0.0)
    gate.let.release(3)
    until(lambda: first.standing.phase is Phase.DONE)
    assert first.folder.is_dir()
    jobs.submit(upload, "ann", "auto", 0.0)
    assert not first.folder.exists()


def test_closing_a_page_ends_its_job_and_removes_its_files(jobs: Jobs[str], gate: Gate, upload: Path) -> None:
    job = jobs.submit(upload, "ann", "auto", 0.0)
    until(lambda: job.standing.phase is Phase.WORKING)
    jobs.forget("ann")
    gate.let.release(1)
    until(lambda: job.standing.phase is Phase.CANCELLED)
    assert not job.folder.exists()

    done = jobs.submit(upload, "bob", "auto", 0.0)
    gate.let.release(3)
    until(lambda: done.standing.phase is Phase.DONE)
    jobs.forget("bob")
    assert not done.folder.exists()


def test_a_finished_job_goes_when_its_time_is_over(gate: Gate, upload: Path, tmp_path: Path) -> None:
    now = [0.0]
    jobs = Jobs(tmp_path / "jobs", gate, waiting=2, keep=100.0, clock=lambda: now[0])
    gate.let.release(3)
    job = jobs.submit(upload, "ann", "auto", 0.0)
    until(lambda: job.standing.phase is Phase.DONE)
    now[0] = 99.0
    jobs.sweep()
    assert job.folder.is_dir()
    now[0] = 101.0
    jobs.sweep()
    assert not job.folder.exists()
    assert jobs.file(job.key, "result.txt") is None
    jobs.close()


def test_closing_waits_for_the_job_at_work_to_stop(gate: Gate, upload: Path, tmp_path: Path) -> None:
    jobs = Jobs(tmp_path / "jobs", gate, waiting=2, keep=100.0)
    job = jobs.submit(upload, "ann", "auto", 0.0)
    until(lambda: job.standing.phase is Phase.WORKING)
    threading.Timer(0.1, gate.let.release).start()
    jobs.close(PATIENCE)
    assert job.standing.phase is Phase.CANCELLED
    assert gate.at_once == 0
