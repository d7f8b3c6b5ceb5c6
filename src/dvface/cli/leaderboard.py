"""`dvface leaderboard`: a finished run, or an evaluation of a checkpoint, put into the file of results."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dvface.cli.words import own_only, yes_or_no
from dvface.errors import UserError
from dvface.tracking.leaderboard import Entry, add, markdown, read
from dvface.tracking.provenance import Provenance, read_provenance

BOARD = "experiments/leaderboard.csv"


def leaderboard(overrides: Sequence[str]) -> None:
    """Add what is named, or only print the board."""
    own = own_only(overrides, {"run": "", "evaluation": "", "dirty": "false", "file": BOARD, "runs": "runs"})
    board, dirty = Path(own["file"]), yes_or_no("dirty", own["dirty"])
    if own["run"] and own["evaluation"]:
        raise UserError("run= and evaluation= are both given; a call adds one of them")
    if not (own["run"] or own["evaluation"]):
        print(markdown(read(board)), end="")
        return
    if own["run"]:
        from dvface.cli.runs import chosen_run

        entries = run_entries(chosen_run(own["run"], Path(own["runs"])), dirty)
    else:
        entries = [evaluation_entry(Path(own["evaluation"]), dirty)]
    print(markdown(add(board, entries)), end="")
    print(f"wrote: {board} and {board.with_suffix('.md').name}")


def run_entries(folder: Path, dirty: bool) -> list[Entry]:
    """A finished run's numbers, an entry for each set of footage.

    Args:
        folder: of the run.
        dirty: whether code that is not that of a commit is taken.

    Raises:
        UserError: it is not finished, has no record, or its code is not that of its commit and ``dirty`` is false.
    """
    from omegaconf import OmegaConf

    from dvface.training.run_folder import RunFolder, read_config

    record = _record(folder)
    result = _result(folder, "it is not finished, or its last stage was not trained")
    tree = read_config(RunFolder(folder))
    return [
        Entry(
            footage=footage,
            manifest=_manifest(record, [footage]),
            date=record.started,
            commit=record.commit,
            dirty=_dirty(folder, record, dirty),
            run=f"{folder.parent.name}/{folder.name}",
            experiment=str(OmegaConf.select(tree, "exp")),
            seed=record.seed,
            parameters=int(result["parameters"]["total"]),
            seconds=float(result["seconds"]),
            command=record.words(),
            measures=sides["restored"],
            unrestored=sides["input"],
        )
        for footage, sides in result["footage"].items()
    ]


def evaluation_entry(folder: Path, dirty: bool) -> Entry:
    """The numbers of ``dvface evaluate checkpoint=…``, over all the footage that it measured.

    Args:
        folder: the evaluation's output.
        dirty: see `run_entries`.

    Raises:
        UserError: it is no evaluation of a checkpoint; or see `run_entries`.
    """
    record = _record(folder)
    if not record.model:
        raise UserError(f"{folder} is no evaluation of a checkpoint; give run=RUN for a run")
    result = _result(folder, "the evaluation is not finished")
    model = Path(record.model)
    name = model.parent.name if model.name == "model" else model.name
    methods = result["methods"]
    return Entry(
        footage="+".join(record.manifests),
        manifest=_manifest(record, list(record.manifests)),
        date=record.started,
        commit=record.commit,
        dirty=_dirty(folder, record, dirty),
        run=f"evaluation of {name}",
        experiment=_experiment(model),
        seed=record.seed,
        parameters=_parameters(model),
        seconds=None,
        command=record.words(),
        measures=methods["restored"]["mean"],
        unrestored=methods["input"]["mean"],
    )


def _record(folder: Path) -> Provenance:
    record = read_provenance(folder)
    if record is None:
        raise UserError(f"{folder} has no provenance.json: no dvface that keeps one made it, and its commit is unknown")
    return record


def _result(folder: Path, why: str) -> Mapping[str, Any]:
    path = folder / "metrics.json"
    if not path.is_file():
        raise UserError(f"{folder} has no final numbers: {why}")
    found: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return found


def _manifest(record: Provenance, names: Sequence[str]) -> str:
    """What tells the footage: of several sets, what tells each."""
    return "+".join(record.manifests[name] for name in names)


def _dirty(folder: Path, record: Provenance, allowed: bool) -> Any:
    """``true``, ``false`` or ``unknown``; anything but ``false`` must be allowed."""
    drifted = [line for note in record.resumed for line in note["drift"] if line.startswith("source_sha256")]
    state = "unknown" if record.dirty is None else "true" if record.dirty or drifted else "false"
    if state != "false" and not allowed:
        why = {
            "unknown": "was not made from a git checkout",
            "true": "went on under other code" if drifted else f"was made of code changed since commit {record.commit}",
        }[state]
        raise UserError(f"{folder} {why}, so nobody could make it again; commit first, or say dirty=true")
    return state


def _experiment(model: Path) -> str:
    """What the run that left the model trained; the model's own name where there is no such run."""
    from dvface.training.run_folder import RunFolder, read_config

    run = RunFolder(model.parent)
    return str(read_config(run)["exp"]) if run.config.is_file() else model.name


def _parameters(model: Path) -> int:
    """Of the network, without its weights."""
    import torch

    from dvface.models.model_folder import CONFIG_FILE
    from dvface.models.restorer import build_model

    described = json.loads((model / CONFIG_FILE).read_text(encoding="utf-8"))["model"]
    with torch.device("meta"):
        return build_model(described).parameter_counts()["total"]
