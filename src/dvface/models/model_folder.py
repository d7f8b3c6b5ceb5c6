"""Folders of models: what lies in them, and where a run has its own."""

from pathlib import Path

from dvface.errors import UserError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"


def model_folder(checkpoint: str | Path) -> Path:
    """The folder that `Restorer.from_pretrained` opens.

    Args:
        checkpoint: a folder that `Restorer.save_pretrained` or ``dvface export`` wrote, or a finished run's folder.

    Raises:
        UserError: it is neither.
    """
    for place in (Path(checkpoint), Path(checkpoint) / "model"):
        if (place / CONFIG_FILE).is_file():
            return place
    if (Path(checkpoint) / "config.yaml").is_file():
        raise UserError(
            f"checkpoint={checkpoint} is a run without a finished model; go on with dvface train resume={checkpoint}, "
            "or see dvface export"
        )
    raise UserError(f"checkpoint={checkpoint} is no run and no model folder; give one that dvface train wrote")
