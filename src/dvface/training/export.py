"""From a training checkpoint to a model folder that reopens anywhere."""

from pathlib import Path
from typing import Any, Literal

from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from dvface.config.build import build
from dvface.config.compose import resolve
from dvface.errors import UserError
from dvface.models.restorer import Restorer
from dvface.training.chain import read_checkpoint

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
    tree = OmegaConf.load(config)
    if not isinstance(tree, DictConfig):
        raise UserError(f"{config} is damaged")
    state = read_checkpoint(checkpoint)
    averaged = "current_model_state" in state
    if which == "averaged" and not averaged:
        raise UserError(f"checkpoint={checkpoint}: its run kept no moving average; say weights=raw")
    taken: Which = which or ("averaged" if averaged else "raw")
    model: Restorer = build(resolve(tree.model))
    model.load_state_dict(_model_tensors(state, "current_model_state" if averaged and taken == "raw" else "state_dict"))
    model.save_pretrained(output, resolve(tree.model))
    return f"{taken} weights of step {state['global_step']} of {checkpoint.parent.name}"


def _model_tensors(state: dict[str, Any], key: str) -> dict[str, Tensor]:
    """The restorer's own tensors: a stage also holds its decoder, teacher or discriminator."""
    tensors: dict[str, Tensor] = state[key]
    return {name.removeprefix("model."): value for name, value in tensors.items() if name.startswith("model.")}
