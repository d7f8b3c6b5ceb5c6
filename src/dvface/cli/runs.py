"""Which run a command means."""

from pathlib import Path

from dvface.errors import UserError, nearest
from dvface.tracking.store import RunSummary, SqliteStore
from dvface.training.run_folder import RunFolder


def chosen_run(word: str, runs: Path) -> Path:
    """The folder of the run that ``word`` names: a run folder, or by MLflow's name or id.

    Where the run folder of a tracked run is gone, that of its artifacts, which has the same records.

    Raises:
        UserError: there is none, or several have the name.
    """
    if RunFolder(Path(word)).config.is_file():
        return Path(word).resolve()
    found = tracked_run(word, runs)
    folders = [Path(found.tags.get("run_folder", "")), runs / "mlartifacts" / found.id / "artifacts"]
    for folder in folders:
        if RunFolder(folder).config.is_file():
            return folder.resolve()
    raise UserError(f"the files of run {found.id} are gone: neither {folders[0]} nor {folders[1]} has its config.yaml")


def tracked_run(word: str, runs: Path) -> RunSummary:
    """The run in the store of ``runs`` that has this MLflow id, this name, or a run folder of this name.

    Raises:
        UserError: there is none, or several have the name.
    """
    if not (runs / "mlflow.db").is_file():
        raise UserError(f"{word} is no run folder, and {runs} has no tracking store to look for it; give runs=FOLDER")
    tracked = SqliteStore(runs).runs()
    found = [run for run in tracked if word in (run.id, run.name, Path(run.tags.get("run_folder", "")).name)]
    if len(found) > 1:
        ids = ", ".join(run.id for run in found)
        raise UserError(f"{len(found)} runs are called {word}; name one by its folder or its id: {ids}")
    if not found:
        hint = nearest(word, [run.name for run in tracked])
        raise UserError(f"{word} is no run folder, and no run in {runs}/mlflow.db has that name or id{hint}")
    return found[0]
