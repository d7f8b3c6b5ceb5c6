"""Restored video files against clean ones, from any method."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dvface.errors import UserError
from dvface.evaluation.measure import Measured, measure, metric_factories
from dvface.files import write_json, write_text
from dvface.report.progress import Progress
from dvface.report.tables import Column, Table
from dvface.video.find import is_frame_folder, is_video_file
from dvface.video.read import read_video


@dataclass(frozen=True)
class Matched:
    """Pairs of videos, and what has no twin.

    Attributes:
        pairs: name, restored, reference.
        alone: sentences on videos that one side lacks.
    """

    pairs: list[tuple[str, Path, Path]]
    alone: list[str]


def matched(restored: Path, reference: Path) -> Matched:
    """Two files, two folders of frames, or two folders of videos matched by name.

    Raises:
        UserError: a path does not exist, or nothing matches.
    """
    for option, path in (("restored", restored), ("reference", reference)):
        if not path.exists():
            raise UserError(f"{option}={path} does not exist; correct the path")
    if _is_one_video(restored) and _is_one_video(reference):
        return Matched([(restored.stem, restored, reference)], [])
    ours, theirs = _videos(restored), _videos(reference)
    shared = [name for name in ours if name in theirs]
    if not shared:
        raise UserError(f"no video has the same name in restored={restored} and reference={reference}; rename one side")
    alone = [f"{name}: no reference of that name" for name in ours if name not in theirs]
    alone += [f"{name}: no restored video of that name" for name in theirs if name not in ours]
    return Matched([(name, ours[name], theirs[name]) for name in shared], alone)


def _is_one_video(path: Path) -> bool:
    """A file, or a folder of frames."""
    return path.is_file() or is_frame_folder(path)


def _videos(path: Path) -> dict[str, Path]:
    """Name to video: the path itself, or what lies in the folder."""
    if _is_one_video(path):
        return {path.stem: path}
    found: dict[str, Path] = {}
    for file in sorted(path.iterdir()):
        if not (file.is_dir() or is_video_file(file)):
            continue
        if file.stem in found:
            raise UserError(f"{found[file.stem]} and {file} have the same name; rename one")
        found[file.stem] = file
    return found


def evaluate_files(
    restored: Path, reference: Path, metrics: Mapping[str, Mapping[str, Any]], out: Path
) -> tuple[str, list[str]]:
    """Measure every matched pair; write ``metrics.json``, ``metrics.csv`` and ``metrics.md`` into ``out``.

    Frames beyond the shorter of two videos are left out and said so in the clip's entry.

    Returns:
        The table as text, and a sentence on everything that was left out.

    Raises:
        UserError: a path is wrong, a video cannot be read, or two sizes differ.
    """
    found = matched(restored, reference)
    clips: list[dict[str, Any]] = []
    results: list[Measured] = []
    with Progress("measure", total=len(found.pairs)) as bar:
        for name, ours, theirs in found.pairs:
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
        {
            "mean": mean,
            "clips": clips,
            "networks": results[0].networks,
            "left_out": left_out,
            "without_twin": found.alone,
        },
    )
    write_text(out / "metrics.csv", table.csv())
    write_text(out / "metrics.md", table.markdown())
    partial = [
        f"{name}: has a value on {count} of {len(clips)} clips"
        for name in names
        if (count := sum(name in clip for clip in clips)) < len(clips)
    ]
    missing = [f"{name}: {reason}" for name, reason in left_out.items()]
    return table.text(), [*found.alone, *partial, *missing]


def _same_size(name: str, one: np.ndarray, other: np.ndarray) -> int:
    if one.shape[1:] != other.shape[1:]:
        raise UserError(
            f"{name}: restored is {one.shape[2]}×{one.shape[1]}, reference {other.shape[2]}×{other.shape[1]}; "
            "resize one side to the other"
        )
    return min(len(one), len(other))
