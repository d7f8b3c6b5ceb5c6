"""A run made again from its record: the same words, the same configuration, the same numbers?"""

import json
import shlex
from collections.abc import Callable, Mapping
from contextlib import chdir, nullcontext
from pathlib import Path
from typing import Any

from dvface.config.build import build
from dvface.config.compose import difference, load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.errors import UserError
from dvface.report.tables import Column, Table
from dvface.tracking.provenance import Provenance, provenance, read_provenance
from dvface.training.run import make_absolute, train
from dvface.training.run_folder import RunFolder, read_config

Say = Callable[[str], None]
OWN = ("name=", "study=", "study.")
"""Words that say where a run belongs: its repetition is another one, and no part of a study."""


def reproduce(folder: Path, say: Say, again: str | None = None) -> bool:
    """Say how a run is made again and what has changed since; make it again if asked.

    Args:
        folder: the run's, or that of its MLflow artifacts.
        say: prints a line for the user.
        again: name of the run to be made; None only checks.

    Returns:
        Whether the composed configuration is the stored one and, where the run was made again, so are its numbers.

    Raises:
        UserError: the run has no record.
    """
    record = read_provenance(folder)
    if record is None:
        raise UserError(
            f"{folder} was made before dvface kept the words of a run; its whole configuration is in config.yaml there"
        )
    say(f"cd {shlex.quote(record.directory)} && {record.words()}")
    settings = _composed_again(RunFolder(folder), record, say)
    if settings is None:
        return False
    _say_drift(record, settings, say)
    if again is None:
        return True
    return _same_numbers(folder, _made_again(record, again, say), say)


def _composed_again(folder: RunFolder, record: Provenance, say: Say) -> TrainSettings | None:
    """The configuration that the words give now, where it is the stored one; else says each key that differs."""
    try:
        tree = load("train", list(record.command))
        make_absolute(tree, Path(record.directory))
        settings = check(resolve(tree))
    except UserError as error:
        say(f"configuration: these words are refused now ({error}); check out commit {record.commit}")
        return None
    changed = difference(read_config(folder), tree)
    for key, (before, now) in changed.items():
        say(f"configuration: {key}: {before} -> {now}")
    if changed:
        say(f"configuration: {len(changed)} keys differ; check out commit {record.commit}")
        return None
    say("configuration: identical")
    return settings


def _say_drift(record: Provenance, settings: TrainSettings, say: Say) -> None:
    """Say in what commit, code, versions, machine and data are not those of the run."""
    try:
        manifests: Mapping[str, str] = build(settings.data.source).manifests()
    except UserError as error:
        say(f"data cannot be looked at: {error}")
        manifests = record.manifests
    drift = record.drift(provenance(manifests, settings.seed, record.command))
    for line in drift:
        say(f"differs: {line}")
    if not drift:
        say("commit, code, versions, machine and data: the same")
    if record.dirty:
        say(f"the checkout differed from commit {record.commit} when the run was made")
    for note in record.resumed:
        what = "; ".join(note["drift"]) or "nothing had changed"
        say(f"it was interrupted and went on at {note['at']}: {what}")


def _made_again(record: Provenance, name: str, say: Say) -> Path:
    words = [word for word in record.command if not word.startswith(OWN)]
    directory = Path(record.directory)
    if not directory.is_dir():
        say(f"{directory} is not on this machine; relative paths start here")
    with chdir(directory) if directory.is_dir() else nullcontext():
        path = train([*words, f"name={name}"], say)
    if path is None:
        raise UserError("these words make a dry run, which leaves no numbers")
    return path


def _same_numbers(before: Path, after: Path, say: Say) -> bool:
    """Whether two runs measured the same; says in what they differ."""
    first, second = _numbers(before), _numbers(after)
    if not first:
        say(f"{before} has no final numbers to compare with: it was not finished, or had no last stage")
        return False
    rows = [[key, first.get(key), second.get(key)] for key in dict.fromkeys([*first, *second])]
    differing = [row for row in rows if row[1] != row[2]]
    if differing:
        say(Table([Column("footage/side/measure"), Column("then"), Column("now")], differing).text().rstrip())
    say(f"numbers: {len(rows) - len(differing)} of {len(rows)} identical")
    return not differing


def _numbers(folder: Path) -> dict[str, float]:
    """``footage/side/measure`` to the final number; nothing where the run has none."""
    path = RunFolder(folder).metrics
    if not path.is_file():
        return {}
    result: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return {
        f"{footage}/{side}/{measure}": value
        for footage, sides in result["footage"].items()
        for side, values in sides.items()
        for measure, value in values.items()
    }
