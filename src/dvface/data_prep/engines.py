"""Where units are made: on the cores of this machine, or on a cluster."""

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, Protocol, TypeVar

from joblib import Parallel, delayed

from dvface.errors import UserError

ORPHAN_SECONDS = 0.2  # after which a worker notices that its parent was killed

Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """Applies a function to items on many workers."""

    def __call__(self, function: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
        """Results as they come, in any order.

        Args:
            function: must pickle, as must items and results.
            items: what it is applied to.
            jobs: so many at once; -1 for as many as there are cores.
        """
        ...


def local(function: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
    """`Engine` of processes on this machine; one job alone works in this process."""
    if jobs == 1 or len(items) == 1:
        yield from map(function, items)
        return
    parallel = Parallel(
        n_jobs=jobs,
        backend="loky",
        return_as="generator_unordered",
        batch_size=1,
        max_nbytes=None,
        initializer=_belong_to,
        initargs=(os.getpid(),),
    )
    # The call starts the workers, which inherit this: the initializer comes too late for one that is still importing.
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        results = parallel(delayed(function)(item) for item in items)
    finally:
        signal.signal(signal.SIGINT, before)
    yield from results


def _belong_to(parent: int) -> None:
    """Leave interrupts to the parent, and end when it has ended: loky's workers would go on with what is queued."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(ORPHAN_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def cluster(function: Callable[[Item], Result], items: Sequence[Item], jobs: int) -> Iterator[Result]:
    """`Engine` of Ray tasks, which are started again elsewhere when a machine is lost.

    The cluster is that of the environment variable ``RAY_ADDRESS``; without it one is started on this machine. All
    machines need this package and must see input and output under the same paths.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    try:
        import ray
    except ImportError as error:
        raise UserError("engine=ray needs Ray, which is not installed; run: pip install 'dvface[cluster]'") from error
    own = not ray.is_initialized()
    try:
        if own:
            ray.init(logging_level=logging.WARNING)
    except (ConnectionError, RuntimeError, ValueError) as error:
        address = os.environ.get("RAY_ADDRESS")
        raise UserError(f"no Ray cluster answers at RAY_ADDRESS={address}; start one with: ray start --head") from error
    try:
        task: Any = ray.remote(num_cpus=1)(lambda item: function(item))
        # Without a limit twice as many as can run, so that no worker waits for the next.
        most = jobs if jobs > 0 else 2 * max(1, int(ray.cluster_resources().get("CPU", 1)))
        waiting = iter(items)
        running = [task.remote(item) for item in islice(waiting, most)]
        while running:
            done, running = ray.wait(running)
            running += [task.remote(item) for item in islice(waiting, 1)]
            yield ray.get(done[0])
    finally:
        if own:
            ray.shutdown()


ENGINES: Mapping[str, Engine] = MappingProxyType({"local": local, "ray": cluster})
"""By the words of ``engine=``."""
