"""A process of its own that brings one run to a server while it trains: training waits for nothing here.

``python -m dvface.tracking.mirror ROOT RUN_ID ADDRESS SECONDS`` goes on until a line, or the end, of its standard
input, and ends with exit code 0 if all that was recorded by then is on the server.
"""

import sys
import threading
import time
from pathlib import Path

from dvface.errors import UserError
from dvface.tracking.store import SqliteStore
from dvface.tracking.sync import Sync

LONGEST_PAUSE = 300.0
SHARE = 10
"""The pause after a pass is at least so many times what the pass took: at most a tenth of a core."""
CALM = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
"""A call that fails is made again by this process, not within MLflow, which would be silent for minutes."""
LONGEST_REASON = 160


def mirror(root: Path, run_id: str, address: str, every: float, ended: threading.Event) -> bool:
    """Send what is new again and again, and once more when ``ended`` is set.

    Args:
        root: of the local store.
        run_id: of the run there.
        address: tracking URI of the server.
        every: least seconds between two passes; a server that does not answer is asked ever more seldom.
        ended: set when the run has ended.

    Returns:
        Whether everything is there.
    """
    sync = Sync(SqliteStore(root), address)
    lost, pause = False, every
    while True:
        last, began = ended.is_set(), time.monotonic()
        reason = _pass(sync, run_id)
        if reason is not None:
            if not lost:
                _tell(
                    f"not mirrored to {address} now ({reason}); training goes on, recorded in {root}, and tries again"
                )
            lost, pause = True, min(2 * pause, LONGEST_PAUSE)
        else:
            if lost:
                _tell(f"{address} takes the run again")
            lost, pause = False, max(every, SHARE * (time.monotonic() - began))
        if last:
            return not lost
        ended.wait(pause)


def _pass(sync: Sync, run_id: str) -> str | None:
    """Send what is new; why it could not be, if so."""
    from mlflow.exceptions import MlflowException

    try:
        sync.copy(run_id)
    except (MlflowException, OSError, UserError) as error:
        return short_reason(error)
    return None


def short_reason(error: Exception) -> str:
    """What went wrong with a server, in a few words."""
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    cause = text.rpartition("Caused by ")[2].rpartition(": ")[2] if "Caused by " in text else text
    return cause.strip("()'\" ")[:LONGEST_REASON]


def _tell(sentence: str) -> None:
    print(f"MLflow: {sentence}", file=sys.stderr, flush=True)


def _main() -> int:
    root, run_id, address, every = sys.argv[1:]
    ended = threading.Event()

    def listen() -> None:
        sys.stdin.readline()
        ended.set()

    threading.Thread(target=listen, daemon=True).start()
    return 0 if mirror(Path(root), run_id, address, float(every), ended) else 1


if __name__ == "__main__":
    sys.exit(_main())
