"""What two runs can be compared by."""

from dvface.training.curves import read_curves
from dvface.training.run_folder import RunFolder


def timeless_curves(folder: RunFolder, stage: str) -> dict[str, list[tuple[int, float]]]:
    """All numbers of a stage that do not tell time."""
    return {k: v for k, v in read_curves(folder.curves(stage)).items() if not k.startswith("speed/")}
