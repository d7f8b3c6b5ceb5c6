"""Which model a command means."""

from pathlib import Path

from dvface.errors import UserError
from dvface.models.model_folder import CONFIG_FILE, model_folder

NEWEST = "newest"
"""The checkpoint that stands for the newest finished run."""


def chosen_model(checkpoint: str, runs: Path) -> Path:
    """The model folder that ``checkpoint`` names.

    Args:
        checkpoint: ``newest``, or see `model_folder`.
        runs: the folder below which the newest run is looked for.

    Raises:
        UserError: there is none.
    """
    if checkpoint != NEWEST:
        return model_folder(checkpoint)
    finished = [
        path.parent for path in runs.glob("*/*/metrics.json") if (path.parent / "model" / CONFIG_FILE).is_file()
    ]
    if not finished:
        raise UserError(f"no trained model below {runs}; run: dvface train, or give checkpoint=small or a FOLDER")
    return model_folder(max(finished, key=lambda run: (run / "metrics.json").stat().st_mtime))
