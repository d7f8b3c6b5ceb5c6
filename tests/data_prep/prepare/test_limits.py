"""Work that hangs, crashes or is interrupted, in real processes."""

import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dvface.data_prep.engines import local
from dvface.data_prep.prepare.limits import Beat, Limited
from dvface.errors import UserError
from dvface.weights import WeightsMissing

SECONDS = 2.0
"""Without a sign of life; several times the product's half a second between two signs, for busy machines."""
PATIENCE = 120.0
"""Seconds after which something will not happen any more; far less than what hangs would take."""


def work(item: str, beat: Beat) -> str | int:
    """Does what the item says."""
    match item:
        case "beat":
            end = time.monotonic() + SECONDS + 0.5  # longer than is allowed without
            while time.monotonic() < end:
                time.sleep(0.05)
                beat()
        case "sleep":
            print("hanging", flush=True)
            time.sleep(600)
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leave":
            os._exit(3)
        case "mistake":
            raise UserError("a.mp4 is no video; give another")
        case "stubborn":
            raise Stubborn(1, 2)
        case "unpicklable":
            return threading.Lock()
        case "pid":
            return os.getpid()
    return item.upper()


class Stubborn(Exception):
    """Cannot be unpickled: its constructor wants two arguments and the base class keeps one."""

    def __init__(self, one: int, two: int) -> None:
        super().__init__(f"{one} and {two}")


def slow_start() -> None:
    """Takes longer than an item may."""
    time.sleep(SECONDS + 0.1)


def nothing() -> None:
    """No preparation."""


def no_weights() -> None:
    raise WeightsMissing("the network is not at hand")


def failed(item: str, reason: str) -> str:
    return f"{item}: {reason}"


@pytest.fixture(scope="module")
def limited() -> Limited:
    return Limited(work, PATIENCE, failed, nothing)


@pytest.fixture(scope="module")
def impatient() -> Limited:
    return Limited(work, SECONDS, failed, slow_start)


def test_results_come_back_and_the_process_is_kept(limited: Limited) -> None:
    assert limited("abc") == "ABC"
    pid = limited("pid")
    assert pid != os.getpid()
    # Every task that an engine sends to a worker brings a copy of its own.
    assert pickle.loads(pickle.dumps(limited))("pid") == pid


def test_neither_a_slow_start_nor_slow_work_with_signs_of_life_ends_a_process_but_silence_does(
    impatient: Limited,
) -> None:
    before = impatient("pid")
    assert impatient("beat") == "BEAT"
    assert impatient("pid") == before
    started = time.monotonic()
    assert impatient("sleep") == "sleep: gave no sign of life for time_limit=2 seconds"
    assert time.monotonic() - started < PATIENCE
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)
    after = impatient("pid")
    assert after != before


@pytest.mark.parametrize(
    ("item", "result"),
    [
        ("crash", "crash: its reader died (signal 11)"),
        ("killed", "killed: its reader died (signal 9)"),
        ("leave", "leave: its reader died (exit code 3)"),
    ],
)
def test_a_failure_costs_one_item_only(limited: Limited, item: str, result: str) -> None:
    before = limited("pid")
    assert limited(item) == result
    assert limited("abc") == "ABC"
    assert limited("pid") != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


def test_a_process_that_dies_between_two_items_is_replaced(limited: Limited) -> None:
    os.kill(limited("pid"), signal.SIGKILL)
    assert limited("abc") == "ABC"


def test_exceptions_are_raised_in_the_caller_with_their_traceback(limited: Limited) -> None:
    pid = limited("pid")
    with pytest.raises(UserError) as caught:
        limited("mistake")
    assert str(caught.value) == "a.mp4 is no video; give another"
    assert "in work" in "".join(caught.value.__notes__)
    with pytest.raises(RuntimeError, match="Stubborn: 1 and 2"):
        limited("stubborn")
    with pytest.raises(TypeError, match="pickle"):
        limited("unpicklable")
    assert limited("pid") == pid


def test_what_fails_before_the_first_item_is_raised() -> None:
    with pytest.raises(WeightsMissing, match="not at hand"):
        Limited(work, SECONDS, failed, no_weights)("abc")


def test_what_cannot_be_pickled_is_refused_at_once() -> None:
    with pytest.raises((AttributeError, pickle.PicklingError)):
        Limited(lambda item, beat: item, 1, failed, nothing)


def test_interrupts_are_left_to_the_parent(limited: Limited) -> None:
    pid = limited("pid")
    os.kill(pid, signal.SIGINT)
    assert limited("pid") == pid


def test_it_works_in_the_engines_workers(limited: Limited) -> None:
    assert sorted(local(limited, ["a", "b", "crash"], 2)) == ["A", "B", "crash: its reader died (signal 11)"]


PARENT = """
import os, sys
from tests.data_prep.prepare.test_limits import Limited, failed, nothing, work
limited = Limited(work, 600, failed, nothing)
print(limited("pid"), flush=True)
limited("sleep")
"""


@pytest.fixture
def parent() -> Iterator[tuple[subprocess.Popen, int]]:
    """A process within a call that hangs, and the process that hangs."""
    root = Path(__file__).parents[3]
    process = subprocess.Popen(
        [sys.executable, "-c", PARENT],
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    worker = int(process.stdout.readline())
    assert process.stdout.readline() == "hanging\n"
    yield process, worker
    process.kill()
    process.communicate()


def gone(pid: int) -> bool:
    """Before what hangs would end by itself."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a hanging process with its parent")
@pytest.mark.parametrize("kind", [signal.SIGKILL, signal.SIGTERM])
def test_it_does_not_outlive_a_parent_that_is_killed(parent: tuple[subprocess.Popen, int], kind: int) -> None:
    process, worker = parent
    process.send_signal(kind)
    assert process.wait(PATIENCE) == -kind
    assert gone(worker)


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_ctrl_c_ends_both_at_once(parent: tuple[subprocess.Popen, int]) -> None:
    process, worker = parent
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, errors = process.communicate(timeout=PATIENCE)
    assert "KeyboardInterrupt" in errors
    assert "SpawnProcess" not in errors
    assert gone(worker)
