"""The tables of `dvface benchmark parts=autoencoders` and `parts=full_size`: networks with random weights."""

import re

import torch

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.errors import UserError
from dvface.models.restorer import Restorer, best_device
from dvface.report.tables import Cell, Column, Table

ROWS = (("wan", "whole"), ("wan", "tiled"), ("wan", "chunked"), ("taehv", "whole"), ("light", "whole"))
"""Names in ``conf/autoencoder`` and ways of `dvface.benchmarks.autoencoders`."""


def autoencoder_table(frames: int, size: int, rounds: int, seed: int) -> str:
    """Decoding one clip: Wan's autoencoder whole, in tiles and in pieces, and the lighter ones.

    Args:
        frames: of the clip.
        size: its side in pixels.
        rounds: of each measurement.
        seed: of weights and latents.

    Raises:
        UserError: the clip does not fit.
    """
    from dvface.benchmarks.autoencoders import measure_decoding

    if frames % 4 != 1 or size % 64:
        raise UserError(f"frames={frames} size={size}: frames must be 4k+1 and size a multiple of 64")
    device = best_device().type
    rows: list[list[Cell]] = []
    for name, way in ROWS:
        tree = resolve(load("train", [f"autoencoder={name}"]))["model"]["autoencoder"]
        found = measure_decoding(tree, way, frames, size, device, rounds, seed)
        memory = None if found.memory is None else found.memory / 1e6
        rows.append([name, way, found.parameters / 1e6, 1e3 * found.seconds / frames, memory])
    columns = [
        Column("autoencoder"),
        Column("decoded"),
        Column("parameters M", form=".2f"),
        Column("ms/frame", form=".1f"),
        Column("memory MB", form=".0f"),
    ]
    how = "bfloat16, time of the clock" if device == "cuda" else "float32, processor time of all threads"
    return "\n".join(
        [
            Table(columns, rows).text(),
            f"{frames} frames at {size}×{size}, random weights, {device}, {how}, best of {rounds}",
            f"memory: at most, above weights; tiled: tiles of {size // 2}, by diffusers; chunked: pieces of 9 frames",
        ]
    )


def full_size_table(exp: str, sizes: str, rounds: int) -> str:
    """Restoring one clip with a model of random weights, plain and compiled, beside the paper's time.

    Args:
        exp: name in ``conf/exp``.
        sizes: clips such as ``33x720x1280``, separated by commas.
        rounds: of each measurement.

    Raises:
        UserError: a clip does not fit the model, or there is no GPU for one of full size.
    """
    from dvface.benchmarks.full_size import PAPER_SECONDS, ClipSize, check_clip, time_clip

    clips: list[ClipSize] = []
    for text in sizes.split(","):
        numbers = re.fullmatch(r"([1-9]\d*)x([1-9]\d*)x([1-9]\d*)", text)
        if numbers is None:
            raise UserError(f"sizes={sizes}: give frames, height and width as in 33x720x1280, separated by commas")
        clips.append(ClipSize(*map(int, numbers.groups())))
    device = best_device()
    if device.type != "cuda" and exp == "dvface":
        raise UserError(
            "parts=full_size: this machine has no GPU, and exp=dvface would take hours without one; "
            "a small model can be timed: exp=tiny sizes=5x64x64"
        )
    specification = resolve(load("train", [f"exp={exp}"]).model)
    torch.manual_seed(0)
    with device:
        model: Restorer = build(specification)
    model.eval().requires_grad_(False)
    for clip in clips:
        try:
            check_clip(model, clip)
        except ValueError as error:
            raise UserError(f"sizes={sizes}: {error}") from error
    rows: list[list[Cell]] = []
    for compiled in (False, True):
        if compiled:
            model.backbone.compile(dynamic=False)  # what trainer.compile=true compiles, each size by itself
        for clip in clips:
            way = "compiled" if compiled else "plain"
            try:
                found = time_clip(model, clip, rounds, bfloat16=True)
            except torch.OutOfMemoryError:
                rows.append([str(clip), way, "does not fit into memory", None, None, None])
                continue
            rows += [
                [str(clip), way, part, seconds, 100 * seconds / found.total, None]
                for part, seconds in found.seconds.items()
            ]
            rows.append([str(clip), way, "all", found.total, 100.0, found.memory / 1e9])
    columns = [
        Column("clip"),
        Column("backbone"),
        Column("part"),
        Column("seconds", form=".3f"),
        Column("share %", form=".0f"),
        Column("memory GB", form=".2f"),
    ]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu, {torch.get_num_threads()} threads"
    millions = model.parameter_counts()["total"] / 1e6
    return "\n".join(
        [
            Table(columns, rows).text(),
            f"exp={exp} with random weights, {millions:.2f}M parameters, {name}",
            f"bfloat16 (encoding float32), fastest of {rounds}",
            f"the paper: {PAPER_SECONDS} s for a clip whose size and GPU it does not tell; "
            "its relative DOVE times 33×720×1280",
        ]
    )
