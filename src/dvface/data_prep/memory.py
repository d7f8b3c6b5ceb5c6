"""Whether the clips fit into memory."""

import os
from pathlib import Path

from dvface.data_prep.plan import Plan
from dvface.errors import UserError

BYTES_PER_VALUE = 32
"""Of memory for each of a clip's T·H·W·3 values while it is degraded and encoded.

Measured with twelve recipes, one draw each: 13 to 21; the rest is for other draws and recipes.
"""


def check_memory(plan: Plan, jobs: int, available: int | None = None) -> None:
    """Refuse clips too large for as many workers as there will be.

    Args:
        plan: the work.
        jobs: workers, -1 for one a core.
        available: bytes; those of this machine by default.

    Raises:
        UserError: the largest clip does not fit.
    """
    workers = min(jobs if jobs > 0 else os.cpu_count() or 1, len(plan.units))
    name, values = plan.largest
    needed, share = values * BYTES_PER_VALUE, (available or machine_memory()) // max(1, workers)
    if needed > share:
        raise UserError(
            f"a clip of {name} needs about {_gib(needed)} of memory and {workers} workers have {_gib(share)} each; "
            "cut it with a lower clip_frames=N, or use fewer jobs=N"
        )


def machine_memory() -> int:
    """Bytes of memory that this process may use in all: the machine's, or less where a container says so."""
    physical = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limits = [Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes")]
    texts = [path.read_text().strip() for path in limits if path.is_file()]
    return min([physical, *(int(text) for text in texts if text.isdecimal())])


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
