"""Folders of models: what lies in them, what their names mean, and the one that comes with the package."""

from pathlib import Path

from dvface.errors import UserError

CONFIG_FILE = "config.json"
WEIGHTS_FILE = "model.safetensors"
SMALL = "small"
"""The name of the model that comes with the package."""
FOLDER = Path(__file__).resolve().parents[1] / "shipped"


def model_folder(checkpoint: str | Path) -> Path:
    """The folder that `Restorer.from_pretrained` opens.

    Args:
        checkpoint: ``small``, the model that comes with the package; a folder that `Restorer.save_pretrained` or
            ``dvface export`` wrote; or the folder of a finished run.

    Raises:
        UserError: it is none of them.
    """
    places = [FOLDER / SMALL] if str(checkpoint) == SMALL else [Path(checkpoint), Path(checkpoint) / "model"]
    for place in places:
        if (place / CONFIG_FILE).is_file():
            return place
    if str(checkpoint) == SMALL:
        raise UserError(f"the model that comes with dvface is missing at {places[0]}; install dvface anew")
    if (Path(checkpoint) / "config.yaml").is_file():
        raise UserError(
            f"checkpoint={checkpoint} is a run without a finished model; go on with dvface train "
            f"resume={checkpoint}, or see dvface export"
        )
    raise UserError(
        f"checkpoint={checkpoint} is no run and no model folder; give one that dvface train wrote, or {SMALL}, the "
        "model that comes with dvface"
    )
