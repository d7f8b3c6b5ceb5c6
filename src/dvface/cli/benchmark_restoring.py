"""The table of `dvface benchmark parts=restoring`."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import torch

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.inference.options import Mode
from dvface.models.model_folder import model_folder
from dvface.models.restorer import Restorer, best_device
from dvface.report.tables import Cell, Column, Table

CLIPS: tuple[tuple[Mode, int, int], ...] = (("aligned", 256, 256), ("aligned", 512, 512), ("faces", 480, 640))
"""Mode, height and width."""


def restoring_table(checkpoint: str, frames: int) -> str:
    """Where the time goes, by mode and size, from file to file.

    Args:
        checkpoint: see `dvface.models.model_folder.model_folder`.
        frames: of each clip; those of a talking man, 120 at most.
    """
    from dvface.benchmarks.restoring import time_restoring, write_clip

    device = best_device()
    model = Restorer.from_pretrained(model_folder(checkpoint)).to(device)
    tree = resolve(load("restore", ["input=unused", "output=unused"]))
    detector = cache(lambda: build(tree["detector"]))
    settle = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    rows: list[list[Cell]] = []
    with TemporaryDirectory() as scratch:
        for mode, height, width in CLIPS:
            video = Path(scratch) / f"{width}x{height}.mp4"
            write_clip(video, frames, height, width)
            time_restoring(model, detector, video, mode, settle)  # warms up
            found = time_restoring(model, detector, video, mode, settle)
            title = f"{mode} {width}×{height}"
            rows += [
                [title, part, 1e3 * seconds / found.frames, 100 * seconds / found.seconds, None]
                for part, seconds in found.parts.items()
            ]
            whole = 1e3 * found.seconds / found.frames
            rows.append([title, "all", whole, 100.0, found.frames / found.seconds])
    columns = [
        Column("clip"),
        Column("part"),
        Column("ms/frame", form=".1f"),
        Column("share %", form=".0f"),
        Column("frames/s", form=".2f"),
    ]
    about = (
        f"{frames} frames, model {checkpoint}, detector {detector().name}, {device}, {torch.get_num_threads()} threads"
    )
    return "\n".join([Table(columns, rows).text(), about, "parts of the model are its limit; the rest is ours"])
