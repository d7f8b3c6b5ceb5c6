"""Patience with work that may hang or crash in foreign code, and an end of it."""

import ctypes
import os
import pickle
import signal
import sys
import time
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection, Pipe
from subprocess import DEVNULL, Popen
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

Beat = Callable[[], None]
"""A function calls it as a sign of life; often is fine."""

RETRY_SECONDS = 1.0  # whoever kills a whole family of processes is through with it by then
KILLS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)

START = "from dvface.data_prep.prepare.limits import serve; serve()"
BEAT_SECONDS = 0.5  # between two signs of life that are passed on
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux's prctl(2)


class Limited(Generic[Item, Result]):
    """Applies a function to items in a process of its own, which is killed when it gives no sign of life for too long.

    The process is started afresh after it was killed or died and kept otherwise: a calling process has one, whatever
    it pickles and unpickles, so imports and loaded weights are paid for once. It ends with its parent, even if that is
    killed. An item whose process was killed by somebody else is tried once more.

    Not pebble: a pool of it is broken for good by a worker that dies between two items, its replacements start on a
    thread, where interrupts cannot be kept from them, and with a parent that is killed a hanging worker stays.

    Args:
        function: takes an item and a `Beat`; must pickle, as must its items, results and exceptions; the latter are
            raised in the caller.
        seconds: that may pass without a beat or the result; starting the process does not count.
        on_failure: gives the result for an item and the reason why the function gave none.
        first: called once in the process before any item, such as to load weights; its time does not count.
    """

    def __init__(
        self,
        function: Callable[[Item, Beat], Result],
        seconds: float,
        on_failure: Callable[[Item, str], Result],
        first: Callable[[], object],
    ) -> None:
        # Kept as bytes, so that copies of this object in one process know each other's worker.
        self._code = pickle.dumps((function, first))
        self._seconds = seconds
        self._on_failure = on_failure

    def __call__(self, item: Item) -> Result:
        """The function's result, or that of ``on_failure``.

        Raises:
            RuntimeError: the process does not even start.
        """
        answer = self._ask(item)
        if isinstance(answer, _Killed):
            # Most likely somebody ends all of us, or memory was short for a moment: no fault of the item's.
            time.sleep(RETRY_SECONDS)
            answer = self._ask(item)
        if isinstance(answer, _Failure):
            return self._on_failure(item, answer.reason)
        if isinstance(answer, _Raised):
            raise answer.error
        return answer

    def _ask(self, item: Item) -> Any:
        global _kept
        if _kept is None or not _kept.serves(self._code):
            if _kept is not None:
                _kept.stop()
            _kept = _Worker(self._code)
        try:
            return _kept.ask(item, self._seconds)
        except BaseException:
            # Such as Ctrl-C: what is half done must not answer the next item.
            _kept.stop()
            raise


class _Beat:
    """The function lives."""


class _Failure:
    def __init__(self, reason: str) -> None:
        self.reason = reason


class _Killed(_Failure):
    """Not by its own fault, as far as one can tell."""


class _Raised:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _Worker:
    """A process that applies one function to item after item."""

    def __init__(self, code: bytes) -> None:
        self._code = code
        self._owner = os.getpid()
        self._pipe, theirs = Pipe()
        # Not multiprocessing's spawn, which fails within loky's workers: it would hand on their start method "loky".
        command = [sys.executable, "-c", START, str(theirs.fileno()), str(os.getpid())]
        # The child inherits the mask: Ctrl-C is its parent's business from the first moment on.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            self._process = Popen(command, pass_fds=[theirs.fileno()], stdin=DEVNULL)  # noqa: S603 (our own code)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        try:
            self._pipe.send(sys.path)
            self._pipe.send_bytes(code)
            answer = self._pipe.recv()
        except (EOFError, ConnectionError) as error:
            raise RuntimeError(f"a worker process did not start ({self._end()})") from error
        except BaseException:
            self.stop()
            raise
        if isinstance(answer, _Raised):
            self.stop()
            raise answer.error

    def serves(self, code: bytes) -> bool:
        """Whether it lives, belongs to this process and not to the one that this was forked from, and has ``code``."""
        return self._owner == os.getpid() and self._code == code and self._process.poll() is None

    def ask(self, item: Any, seconds: float) -> Any:
        """The answer to an item."""
        try:
            self._pipe.send(item)
            while self._pipe.poll(seconds):
                if not isinstance(answer := self._pipe.recv(), _Beat):
                    return answer
        except (EOFError, ConnectionError):
            reason = f"its reader died ({self._end()})"
            return _Killed(reason) if -self._process.returncode in KILLS else _Failure(reason)
        self.stop()
        return _Failure(f"gave no sign of life for time_limit={seconds:g} seconds")

    def _end(self) -> str:
        code = self._process.wait()
        return f"signal {-code}" if code < 0 else f"exit code {code}"

    def stop(self) -> None:
        """Kill it."""
        if self._owner == os.getpid():
            self._process.kill()
            self._process.wait()
            self._pipe.close()


_kept: _Worker | None = None


def serve() -> None:
    """What the worker process does until its parent goes."""
    descriptor, parent = map(int, sys.argv[1:])
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
        if os.getppid() != parent:
            return
    pipe = Connection(descriptor)
    sys.path[:] = pipe.recv()
    function, first = pickle.loads(pipe.recv_bytes())  # noqa: S301 (pickled by our own parent)
    try:
        first()
    except Exception as error:
        pipe.send(_Raised(_portable(error)))
        return
    pipe.send("ready")
    while True:
        try:
            item = pipe.recv()
        except (EOFError, ConnectionError):
            return
        try:
            message = pickle.dumps(function(item, _beat(pipe)))
        except Exception as error:
            message = pickle.dumps(_Raised(_portable(error)))
        pipe.send_bytes(message)


def _beat(pipe: Connection) -> Beat:
    last = time.monotonic()

    def beat() -> None:
        nonlocal last
        if (now := time.monotonic()) - last > BEAT_SECONDS:
            last = now
            pipe.send(_Beat())

    return beat


def _portable(error: Exception) -> Exception:
    """The error with its traceback as a note; by name only where it does not survive pickling."""
    error.add_note("".join(traceback.format_exception(error)))
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 (our own bytes)
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error
