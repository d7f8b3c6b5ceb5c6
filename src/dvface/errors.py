"""The one exception that a user's mistake may raise."""

import difflib
import errno
from collections.abc import Iterable


class UserError(Exception):
    """A mistake that the user can mend.

    The message is one sentence that names the file or option, what is wrong and what to do. The command line
    prints it without a traceback and exits with code 2.
    """


def nearest(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for the known word nearest to ``word``, or an empty string when none is near."""
    matches = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{matches[0]}'?" if matches else ""


_MACHINE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EMFILE, errno.ENFILE, errno.EROFS)


def fault_of_machine(error: BaseException) -> bool:
    """Whether an error says that the machine is at its end (disk full, no more open files), not a file at fault."""
    return isinstance(error, OSError) and error.errno in _MACHINE
