"""`dvface weights`: what pretrained files there are, which are at hand, whether they are right, and how to get them."""

import json
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvface.errors import UserError
from dvface.report.progress import Progress
from dvface.report.tables import Cell, Column, Table
from dvface.weights.catalogue import CATALOGUE, network
from dvface.weights.fetching import Response, fetch, open_address
from dvface.weights.lookup import FOLDER_VARIABLE, Found, Weights, cache_folder, shown

MEGABYTE = 10**6
ALL_MISSING = "missing"
PLACES = {"folder": f"in ${FOLDER_VARIABLE}", "cache": "in the cache"}


@dataclass(frozen=True)
class Entry:
    """A network of the catalogue on this machine.

    Attributes:
        weights: its entry.
        found: where it lies, None where it is missing.
    """

    weights: Weights
    found: Found | None

    @property
    def state(self) -> str:
        """In words."""
        if self.found is None:
            return "missing"
        if self.found.place == "package" and self.weights.packaged:
            return f"in {self.weights.packaged.package}"
        return PLACES[self.found.place]

    @property
    def size(self) -> int | None:
        """Bytes: of the file at hand, else of the one that would be fetched; None where not known."""
        if self.found:
            return self.found.path.stat().st_size
        return self.weights.fetched_form.size

    def row(self) -> list[Cell]:
        """Of the table."""
        size = None if self.size is None else self.size / MEGABYTE
        used_by = ", ".join(self.weights.used_by)
        # details of the source are for whoever has to get the file by hand
        source = self.weights.source.split(" ")[0].rstrip(",")
        return [self.weights.key, used_by, self.state, size, self.weights.licence, source]

    def verdict(self) -> str | None:
        """What is wrong with the file at hand, an empty text for nothing; None where nothing is known to check by."""
        if self.found is None or self.weights.form(self.found.path).sha256 is None:
            return None
        return self.weights.check(self.found.path) or ""

    def record(self, verify: bool) -> dict[str, Any]:
        """For machines; ``right`` stands there only where files were to be verified."""
        form = self.weights.form(self.found.path) if self.found else self.weights.fetched_form
        facts: dict[str, Any] = {
            "key": self.weights.key,
            "name": self.weights.name,
            "used_by": list(self.weights.used_by),
            "place": self.found.place if self.found else None,
            "path": str(self.found.path) if self.found else None,
            "size": self.size,
            "sha256": form.sha256,
            "licence": self.weights.licence,
            "source": self.weights.source,
            "url": self.weights.url,
        }
        if verify:
            verdict = self.verdict()
            facts["right"] = None if verdict is None else not verdict
        return facts


def entries(catalogue: Sequence[Weights] = CATALOGUE) -> list[Entry]:
    """Every network of the catalogue, looked up now."""
    return [Entry(weights, weights.locate()) for weights in catalogue]


def list_networks(as_json: bool, verify: bool, say: Callable[[str], None] = print) -> int:
    """Show the catalogue and return the number of files that are not as published, 0 unless ``verify``."""
    listed = entries()
    if as_json:
        records = [entry.record(verify) for entry in listed]
        say(json.dumps(records, indent=2, ensure_ascii=False))
        return sum(record.get("right") is False for record in records)
    if verify:
        return _verify(listed, say)
    columns = [
        Column("network"),
        Column("used by"),
        Column("state"),
        Column("MB", form=",.1f"),
        Column("licence"),
        Column("source"),
    ]
    say(Table(columns, [entry.row() for entry in listed]).text())
    if (folder := os.environ.get(FOLDER_VARIABLE)) and not Path(folder).is_dir():
        say(f"${FOLDER_VARIABLE} is {folder}, which is no folder: nothing was looked for there")
    say(summary(listed))
    return 0


def summary(listed: Sequence[Entry]) -> str:
    """How many networks are at hand, and how to get the rest."""
    missing = [entry for entry in listed if entry.found is None]
    counted = f"{len(listed) - len(missing)} of {len(listed)} networks at hand"
    fetchable = [entry for entry in missing if entry.weights.url]
    if not fetchable:
        return counted
    megabytes = sum(entry.size or 0 for entry in fetchable) / MEGABYTE
    return f"{counted}; {len(fetchable)} more ({megabytes:,.0f} MB): dvface weights fetch={ALL_MISSING}"


def _verify(listed: Sequence[Entry], say: Callable[[str], None]) -> int:
    wrong = 0
    for entry in listed:
        if entry.found is None:
            continue
        match entry.verdict():
            case None:
                words = "was not checked: no SHA-256 is known to us"
            case "":
                words = "is as published"
            case fault:
                words, wrong = fault, wrong + 1
        say(f"{entry.weights.key}: {shown(entry.found.path)} {words}")
    say(f"{wrong} wrong")
    return wrong


def fetch_networks(
    words: str, say: Callable[[str], None] = print, open_address: Callable[[str], Response] = open_address
) -> int:
    """Download networks into the user's cache and return how many could not be had.

    Args:
        words: keys of the catalogue, with commas between them, or ``missing``: all that are not at hand.
        say: is told of each.
        open_address: see `dvface.weights.fetching.fetch`.

    Raises:
        UserError: a key is unknown, or there is no cache folder.
    """
    chosen = [entry for entry in entries() if entry.found is None] if words == ALL_MISSING else _named(words)
    return sum(_fetch(entry, say, open_address) for entry in chosen)


def _named(words: str) -> list[Entry]:
    return entries([network(word.strip()) for word in words.split(",")])


def _fetch(entry: Entry, say: Callable[[str], None], open_address: Callable[[str], Response]) -> bool:
    """Whether the file could not be had, which is said."""
    weights, found = entry.weights, entry.found
    if found:
        verdict = weights.check(found.path)
        if not verdict:
            say(f"{weights.key}: at hand: {shown(found.path)}")
            return False
        if found.place != "cache":
            say(f"{weights.key}: {shown(found.path)} {verdict}; remove it first, or no other file is looked for")
            return True
    if weights.url is None:
        place = f"${FOLDER_VARIABLE}/{weights.folder_names[0]}"
        say(f"{weights.key}: there is no address to fetch it from; get it from {weights.source}, as {place}")
        return True
    folder = cache_folder()
    if folder is None:
        raise UserError("there is no home folder to keep networks in; name a cache: XDG_CACHE_HOME=/some/folder")
    target, form = folder / weights.fetched_name, weights.fetched_form
    say(f"{weights.key}: {weights.url} (licence: {weights.licence})")
    total = None if form.size is None else -(-form.size // MEGABYTE)
    try:
        with Progress(f"{weights.key}, MB", total) as progress:
            digest = fetch(weights.url, target, form, InMegabytes(progress.advance), open_address)
    except UserError as error:
        say(f"{weights.key}: {error}")
        return True
    say(f"{weights.key}: {shown(target)}, {checked(form.sha256, digest)}")
    return False


def checked(expected: str | None, digest: str) -> str:
    """What is known of a file that came with this SHA-256 and passed."""
    if expected is None:
        return f"SHA-256 {digest}, which could not be checked: none is known to us"
    if len(expected) < len(digest):
        return f"SHA-256 {digest}, of which the first {len(expected)} digits are known and are right"
    return "SHA-256 as published"


class InMegabytes:
    """Counts bytes and passes on whole megabytes, the last one when it has begun.

    Args:
        advance: is told how many more megabytes there are.
    """

    def __init__(self, advance: Callable[[int], None]) -> None:
        self._advance = advance
        self._bytes = 0

    def __call__(self, size: int) -> None:
        """``size`` more bytes arrived."""
        before = -(-self._bytes // MEGABYTE)
        self._bytes += size
        self._advance(-(-self._bytes // MEGABYTE) - before)
