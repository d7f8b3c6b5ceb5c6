"""The record of what a run came from, kept in its folder and as tags: enough to make it again, or to say why not."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvface.errors import UserError
from dvface.files import write_json
from dvface.tracking.environment import hardware, source_digest, source_state, versions

PROVENANCE = "provenance.json"
DRIFT_TAG = "provenance_drift"


@dataclass(frozen=True)
class Provenance:
    """What a run came from.

    Attributes:
        commit: of the checkout, or that it is none.
        dirty: whether the checkout differed from the commit; None where there is none.
        source: SHA-256 of the package's code.
        versions: Python and packages.
        hardware: the machine in words.
        manifests: data set to SHA-256 of its manifest: ``train`` (or ``train/PART``) and each set of footage.
        seed: of the run.
        command: the words given to ``dvface train``, or to ``program``.
        directory: where they were given; relative paths among them start there.
        program: the command of dvface that took the words.
        model: of an evaluation, the model folder that was measured.
        started: UTC, ISO 8601.
        resumed: for each time that the run went on later: ``at``, and ``drift``, what differed then from the start.
    """

    commit: str
    dirty: bool | None
    source: str
    versions: Mapping[str, str]
    hardware: Mapping[str, str]
    manifests: Mapping[str, str]
    seed: int
    command: Sequence[str]
    directory: str
    started: str
    program: str = "train"
    model: str = ""
    resumed: Sequence[Mapping[str, Any]] = field(default_factory=tuple)

    def words(self) -> str:
        """The command as a shell takes it."""
        return shlex.join(["dvface", self.program, *self.command])

    def tags(self) -> dict[str, str]:
        """The record as MLflow tags, the keys of nested parts dotted; MLflow's page has columns for two of them."""
        return {
            "commit": self.commit,
            "dirty": "unknown" if self.dirty is None else str(self.dirty).lower(),
            "source_sha256": self.source,
            **{f"version.{name}": text for name, text in self.versions.items()},
            **{f"hardware.{name}": text for name, text in self.hardware.items()},
            **{f"manifest.{name}": digest for name, digest in self.manifests.items()},
            "seed": str(self.seed),
            "command": self.words(),
            "directory": self.directory,
            "mlflow.source.name": self.words(),
            "mlflow.source.git.commit": self.commit,
        }

    def drift(self, other: "Provenance") -> list[str]:
        """``key: this -> other`` for everything in which ``other`` differs; what they were told to do is no part."""
        before, after = self._compared(), other._compared()
        return [
            f"{key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"
            for key in dict.fromkeys([*before, *after])
            if before.get(key) != after.get(key)
        ]

    def going_on(self, now: "Provenance") -> "Provenance":
        """This record with a note that the run went on under ``now``."""
        return replace(self, resumed=[*self.resumed, {"at": now.started, "drift": self.drift(now)}])

    def _compared(self) -> dict[str, str]:
        tags = self.tags()
        told = ("seed", "command", "directory", "mlflow.source.name", "mlflow.source.git.commit")
        return {key: text for key, text in tags.items() if key not in told}


def provenance(manifests: Mapping[str, str], seed: int, command: Sequence[str]) -> Provenance:
    """The record of a run that starts now, here.

    Args:
        manifests: see `Provenance`.
        seed: of the run.
        command: the words given to ``dvface train``.
    """
    commit, dirty = source_state(Path(__file__).parent)
    return Provenance(
        commit=commit,
        dirty=dirty,
        source=source_digest(),
        versions=versions(),
        hardware=hardware(),
        manifests=dict(manifests),
        seed=seed,
        command=list(command),
        directory=str(Path.cwd()),
        started=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def write_provenance(folder: Path, record: Provenance) -> None:
    """Write ``provenance.json`` into a run folder."""
    write_json(folder / PROVENANCE, asdict(record))


def read_provenance(folder: Path) -> Provenance | None:
    """What `write_provenance` wrote; None in a folder of a run that was made before dvface kept it.

    Raises:
        UserError: the file is damaged.
    """
    path = folder / PROVENANCE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Provenance(**{one.name: found[one.name] for one in fields(Provenance) if one.name in found})
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} is damaged; take it from the run's MLflow artifacts") from error
