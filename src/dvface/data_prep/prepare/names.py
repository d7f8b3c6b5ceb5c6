"""From the names of files, which may be anything, to names that are safe everywhere."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

MOST_BYTES = 120
# Control characters, ends of lines and paragraphs, marks that turn the direction of writing, lone surrogates.
UNSHOWABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
STEP = 8  # hexadecimal digits of SHA-256 that a key gets at a time


def shown(name: str) -> str:
    """``name`` as it may stand in UTF-8 files and on screens, in one line that colours nothing.

    What is no UTF-8 becomes ``\\udcff`` and the like, a control character ``\\n`` or ``\\x1b``.
    """
    return UNSHOWABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), name)


def safe(name: str) -> str:
    """``name`` in letters, digits, ``_`` and ``-``; every run of other characters becomes one ``_``."""
    return re.sub(r"[^\w-]+", "_", unicodedata.normalize("NFC", name))


def keys(names: Iterable[tuple[str, str]]) -> list[str]:
    """A safe key of each name: unique among them, at most 120 bytes of UTF-8.

    A key that is too long, or that two names would share, carries the first digits of the SHA-256 of its full name:
    all that share it do, whatever their order. So a key depends on other names only where they are nearly the same.

    Args:
        names: of each file, its full name, unlike all others, and the part of it that the key is made of.

    Raises:
        ValueError: two full names are the same.
    """
    names = list(names)
    if len({full for full, _ in names}) < len(names):
        raise ValueError("two files of one full name")
    digits = [STEP if len(safe(stem).encode()) > MOST_BYTES else 0 for _, stem in names]
    while True:
        made = [_key(full, stem, count) for (full, stem), count in zip(names, digits, strict=True)]
        # Some file systems do not tell a from A, and keys become names of files.
        times = Counter(key.casefold() for key in made)
        shared = [number for number, key in enumerate(made) if times[key.casefold()] > 1]
        if not shared:
            return made
        for number in shared:
            digits[number] += STEP


def _key(full: str, stem: str, digits: int) -> str:
    if not digits:
        return safe(stem)
    ending = "-" + hashlib.sha256(full.encode(errors="surrogatepass")).hexdigest()[:digits]
    return safe(stem).encode()[: MOST_BYTES - len(ending)].decode(errors="ignore") + ending
