"""From a training checkpoint to a model folder that reopens anywhere."""

from pathlib import Path
from typing import Literal

from dvface.config.compose import resolve
from dvface.errors import UserError
from dvface.models.restorer import build_model
from dvface.training.run_folder import RunFolder, model_tensors, read_checkpoint, read_config

Which = Literal["averaged", "raw"]


def export(checkpoint: Path, output: Path, which: Which | None) -> str:
    """Write the model that a checkpoint holds.

    Args:
        checkpoint: ``RUN/stages/STAGE/last.ckpt``; the run's own configuration describes the model.
        output: the model folder to write.
        which: the moving average of the weights or the weights themselves; None takes the average where the run
            kept one.

    Returns:
        A sentence that says which weights were taken, and of which step.

    Raises:
        UserError: the checkpoint or its run's configuration is missing or damaged, or it has no average.
    """
    config = checkpoint.parents[2] / "config.yaml" if len(checkpoint.parents) > 2 else checkpoint
    if not checkpoint.is_file() or not config.is_file():
        raise UserError(f"checkpoint={checkpoint}: name the last.ckpt of a stage inside its run folder")
    specification = resolve(read_config(RunFolder(config.parent)))["model"]
    state = read_checkpoint(checkpoint)
    averaged = "current_model_state" in state
    if which == "averaged" and not averaged:
        raise UserError(f"checkpoint={checkpoint}: its run kept no moving average; say weights=raw")
    taken: Which = which or ("averaged" if averaged else "raw")
    model = build_model(specification)
    try:
        key = "current_model_state" if averaged and taken == "raw" else "state_dict"
        model.load_state_dict(model_tensors(state, key))
    except RuntimeError as error:
        raise UserError(f"checkpoint={checkpoint} does not fit its run's configuration {config}") from error
    model.save_pretrained(output, specification)
    return f"{taken} weights of step {state['global_step']} of {checkpoint.parent.name}"
