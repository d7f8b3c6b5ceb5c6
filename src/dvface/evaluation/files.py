"""Restored video files against clean ones, from any method."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from dvface.errors import UserError
from dvface.evaluation.measure import Measured, measure, metric_factories
from dvface.files import write_json, write_text
from dvface.report.progress import Progress
from dvface.report.tables import Column, Table
from dvface.video.read import FRAME_SUFFIXES, read_video

VIDEO_SUFFIXES = (".mp4", ".mkv", ".mov", ".avi", ".webm", ".m4v", ".mpg", ".ts")


def matched(restored: Path, reference: Path) -> list[tuple[str, Path, Path]]:
    """Pairs (name, restored, reference): two files, two folders of frames, or two folders matched by name.

    Raises:
        UserError: a path does not exist, or nothing matches.
    """
    for option, path in (("restored", restored), ("reference", reference)):
        if not path.exists():
            raise UserError(f"{option}={path} does not exist; correct the path")
    ours, theirs = _videos(restored), _videos(reference)
    if len(ours) == len(theirs) == 1:
        ((name, one),), (other,) = ours.items(), theirs.values()
        return [(name, one, other)]
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise UserError(f"no video has the same name in restored={restored} and reference={reference}; rename one side")
    return [(name, ours[name], theirs[name]) for name in shared]


def _videos(path: Path) -> dict[str, Path]:
    """Name to video: the path itself, or what lies in the folder."""
    if path.is_file() or any(file.suffix.lower() in FRAME_SUFFIXES for file in path.iterdir()):
        return {path.stem: path}
    inside = sorted(file for file in path.iterdir() if file.is_dir() or file.suffix.lower() in VIDEO_SUFFIXES)
    return {file.stem: file for file in inside}


def evaluate_files(
    restored: Path, reference: Path, metrics: Mapping[str, Mapping[str, Any]], out: Path
) -> tuple[str, dict[str, str]]:
    """Measure every matched pair; write ``metrics.json``, ``metrics.csv`` and ``metrics.md`` into ``out``.

    Frames beyond the shorter of two videos are left out and said so in the clip's entry.

    Returns:
        The table as text, and what was left out with the reason.

    Raises:
        UserError: a path is wrong, a video cannot be read, or two sizes differ.
    """
    pairs = matched(restored, reference)
    clips: list[dict[str, Any]] = []
    results: list[Measured] = []
    with Progress("measure", total=len(pairs)) as bar:
        for name, ours, theirs in pairs:
            one, other = read_video(ours), read_video(theirs)
            frames = _same_size(name, one, other)
            result = measure(metric_factories(metrics), [(one[:frames], other[:frames])])
            cut = max(len(one), len(other)) - frames
            clips.append({"name": name, "frames": frames, "frames_left_out": cut, **result.values})
            results.append(result)
            bar.advance(note=name)
    names = list(dict.fromkeys(key for result in results for key in result.values))
    mean = {
        name: float(np.mean([result.values[name] for result in results if name in result.values])) for name in names
    }
    left_out = {key: reason for result in results for key, reason in result.left_out.items() if key not in mean}
    table = Table(
        [Column("clip"), *(Column(name, form=".4f") for name in names)],
        [*([clip["name"], *(clip.get(name) for name in names)] for clip in clips), ["mean", *mean.values()]],
    )
    write_json(
        out / "metrics.json",
        {"mean": mean, "clips": clips, "networks": results[0].networks, "left_out": left_out},
    )
    write_text(out / "metrics.csv", table.csv())
    write_text(out / "metrics.md", table.markdown())
    return table.text(), left_out


def _same_size(name: str, one: np.ndarray, other: np.ndarray) -> int:
    if one.shape[1:] != other.shape[1:]:
        raise UserError(
            f"{name}: restored is {one.shape[2]}×{one.shape[1]}, reference {other.shape[2]}×{other.shape[1]}; "
            "resize one side to the other"
        )
    return min(len(one), len(other))
