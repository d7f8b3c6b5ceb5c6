"""Which run folders are meant: by name, folder, tag or MLflow filter."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from dvface.config.schema import STUDIES
from dvface.errors import UserError, nearest
from dvface.tracking.store import RunSummary, SqliteStore

STATE = "run.json"
FILTER = re.compile(r"\b(tags?|params?|parameters?|metrics?|attributes?|attr|run)\.|[<>'\"]|!=| LIKE ", re.IGNORECASE)
"""What an MLflow filter holds and neither a name nor ``tag=value`` does."""


def choose(entries: Sequence[str], root: Path) -> list[Path]:
    """The run folders that the entries mean, each once, in their order.

    Args:
        entries: each a run folder, a folder of runs, a run's name, ``tag=value``, or an MLflow filter.
        root: where the runs and their MLflow store are.

    Raises:
        UserError: an entry means nothing; one sentence, with the nearest match.
    """
    found = [folder.resolve() for entry in entries for folder in _chosen(entry, root)]
    return list(dict.fromkeys(found))


def runs_below(folder: Path) -> list[Path]:
    """Run folders in a folder, in those of its experiments and of its studies."""
    patterns = (f"*/{STATE}", f"*/*/{STATE}", f"{STUDIES}/*/*/{STATE}")
    return sorted({path.parent for pattern in patterns for path in folder.glob(pattern)})


def _chosen(entry: str, root: Path) -> list[Path]:
    path = Path(entry)
    if (path / STATE).is_file():
        return [path]
    if path.is_dir():
        below = runs_below(path)
        if not below:
            raise UserError(f"runs={entry}: there is no run in that folder; name one that training printed")
        return below
    if FILTER.search(entry):
        return _folders(_store(root).runs(filter=entry), entry)
    if "=" in entry:
        return _tagged(entry, root)
    return [_named(entry, root)]


def _named(name: str, root: Path) -> Path:
    known = runs_below(root)
    found = [path for path in known if name in set(_names(path))]
    if not found:
        hint = nearest(name, [each for path in known for each in _names(path)])
        raise UserError(
            f"runs={name}: there is no such run below {root}{hint}; give a run's name, its folder, tag=value or an "
            "MLflow filter such as \"tags.exp = 'tiny'\""
        )
    if len(found) > 1:
        several = ", ".join(f"{path.parent.name}/{path.name}" for path in found)
        raise UserError(f"runs={name}: several runs have that name ({several}); give one of these")
    return found[0]


def _names(path: Path) -> Iterator[str]:
    """What a run may be called: its own name, with its experiment or study before it, and as MLflow's page has it."""
    yield path.name
    yield f"{path.parent.name}/{path.name}"
    yield f"{path.parent.name} {path.name}"


def _tagged(entry: str, root: Path) -> list[Path]:
    key, _, value = entry.partition("=")
    runs = _store(root).runs()
    known = {name for run in runs for name in run.tags if not name.startswith("mlflow.")}
    if key not in known:
        raise UserError(f"runs={entry}: no run has the tag '{key}'{nearest(key, known)}")
    found = [run for run in runs if run.tags.get(key) == value]
    if not found:
        hint = nearest(value, {run.tags[key] for run in runs if key in run.tags})
        raise UserError(f"runs={entry}: no run has that value of the tag '{key}'{hint}")
    return _folders(found, entry)


def _folders(runs: Sequence[RunSummary], entry: str) -> list[Path]:
    """Of those runs that are none, but hold others together, there is none."""
    found = [Path(run.tags["run_folder"]) for run in runs if "run_folder" in run.tags]
    if not found:
        raise UserError(f"runs={entry}: no run in the MLflow store fits; `dvface ui` shows what there is")
    return found


def _store(root: Path) -> SqliteStore:
    if not (root / "mlflow.db").is_file():
        raise UserError(f"{root} has no tracking store yet; run: dvface train")
    return SqliteStore(root)
