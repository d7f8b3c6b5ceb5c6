"""The parts of a training step, and what to do about each where it is the slowest."""

from collections.abc import Mapping

from dvface.training.clip_time import DEGRADATION
from dvface.training.stage import Stage

WAITING = "waiting for clips"
MOVING = "moving to the device"
ENCODING = "autoencoder: encoding"
DECODING = "autoencoder: decoding"
PRIOR = "prior"
BACKBONE = "backbone and fusion"
REFINEMENT = "refinement"
LOSS = "loss: "
FORWARD = "rest of the forward pass"
BACKWARD = "backward"
OPTIMISER = "optimiser and clipping"
VALIDATION = "validation"
CHECKPOINTS = "checkpoints"
REST = "logging and the rest"

MUCH = 0.5
"""Share of a clip's time from which on one part of its making is named."""


def hint(part: str, name: str, stage: Stage, workers: int, clip: Mapping[str, float]) -> str:
    """What to do about a part that is the slowest.

    Args:
        part: its name.
        name: the stage's.
        stage: with its trainer, tells what is switched on already.
        workers: loader workers a process.
        clip: seconds that the parts of making one clip take.
    """
    smaller = f"lower stages.{name}.frames or stages.{name}.crop"
    if part == WAITING:
        return _about_waiting(workers, clip)
    if part in (BACKBONE, BACKWARD):
        return f"{_about_network(stage)}, or {smaller}"
    if part.startswith(LOSS):
        term = part.removeprefix(LOSS)
        return f"take another loss/{term}, let it look at fewer frames where it has a number of them, or {smaller}"
    return {
        MOVING: f"{smaller}, so that less is moved",
        ENCODING: f"take a lighter autoencoder, such as autoencoder=taehv, or {smaller}",
        DECODING: f"take a lighter autoencoder, such as autoencoder=taehv, train more of the way in latents "
        f"(stages/restorer_latent=latent), or {smaller}",
        PRIOR: f"take a lighter prior/encoder or fewer layers of its predictors, or {smaller}",
        REFINEMENT: f"lower refinement.channels or refinement.blocks, or {smaller}",
        OPTIMISER: "raise trainer.accumulate, so that steps are fewer, or let less learn, as backbone=wan_lora does",
        VALIDATION: f"raise trainer.validate_every, now every {stage.trainer.val_check_batch} batches",
        CHECKPOINTS: "raise trainer.checkpoint_every, or say trainer.keep_best=false",
        REST: "raise trainer.log_every",
    }.get(part, smaller)


def _about_waiting(workers: int, clip: Mapping[str, float]) -> str:
    more = f"raise data.workers, now {workers}"
    whole = sum(clip.values())
    degrading = {part: seconds for part, seconds in clip.items() if part.startswith(DEGRADATION)}
    share = sum(degrading.values()) / whole
    if share < MUCH:
        slowest = max(clip, key=lambda part: clip[part])
        return f"{more}; of a clip's time {slowest} takes {clip[slowest] / whole:.0%}"
    worst = max(degrading, key=lambda part: degrading[part])
    return (
        f"{more}, or degrade once and for all (dvface degrade format=shards, then data=paired): of a clip's time "
        f"degrading takes {share:.0%}, {worst.removeprefix(f'{DEGRADATION}: ')} {degrading[worst] / whole:.0%} alone"
    )


def _about_network(stage: Stage) -> str:
    """What of precision, compilation and checkpointing is left to switch."""
    words = ["trainer.compile=true, where it is not on yet"]
    if stage.trainer.precision == "32-true":
        words.insert(0, "say trainer.precision=bf16-mixed on a GPU")
    if stage.model.backbone.gradient_checkpointing:
        words.insert(0, "say trainer.gradient_checkpointing=false, where memory allows")
    return ", ".join(words) if len(words) > 1 else f"say {words[0]}"
