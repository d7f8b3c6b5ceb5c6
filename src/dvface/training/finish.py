"""The end of a run: restore what was held out, measure it, draw it, record it."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dvface.data.pairs import VideoPair
from dvface.evaluation.measure import Measured, measure, metric_factories
from dvface.files import write_json
from dvface.inference.whole import WholePicture
from dvface.inference.windows import WindowedRestorer
from dvface.models.restorer import Restorer
from dvface.report.panels import contact_sheet, labelled_video, write_png
from dvface.report.progress import Progress
from dvface.report.tables import Column, Table
from dvface.tracking.compare import better_side
from dvface.tracking.run import NoRun, Run
from dvface.video.write import write_video

SHOWN_CLIPS = 5
"""Clips of each set that are drawn; all are measured."""

Results = dict[str, dict[str, Measured]]
"""Set of footage to side (``input``, ``identity``, ``restored``) to what was measured."""


def restore_all(restorer: WindowedRestorer, pairs: Sequence[VideoPair], title: str) -> list[np.ndarray]:
    """Every pair's degraded side, restored: (T, H, W, 3) uint8 each."""
    restored = []
    with Progress(title, total=sum(len(pair.degraded) for pair in pairs)) as bar:
        for pair in pairs:
            frames = []
            for frame in restorer(pair.degraded):
                frames.append(frame)
                bar.advance()
            restored.append(np.stack(frames))
    return restored


def measure_all(
    sides: Mapping[str, Mapping[str, Sequence[np.ndarray]]],
    clean: Mapping[str, Sequence[np.ndarray]],
    metrics: Mapping[str, Mapping[str, Any]],
) -> Results:
    """Each set's sides against its clean clips.

    Args:
        sides: set to side to its clips.
        clean: set to the clean clips, in the same order.
        metrics: the measures' configurations.
    """
    results: Results = {}
    with Progress("measure", total=sum(len(each) for each in sides.values())) as bar:
        for footage, each in sides.items():
            results[footage] = {}
            for side, clips in each.items():
                # Equal pixels have equal measures: the untrained system usually is the identity.
                twin = next((other for other in results[footage] if all(map(np.array_equal, clips, each[other]))), None)
                if twin is None:
                    pairs = zip(clips, clean[footage], strict=True)
                    results[footage][side] = measure(metric_factories(metrics), pairs)
                else:
                    results[footage][side] = results[footage][twin]
                bar.advance(note=f"{footage} {side}")
    return results


def finish(
    folder: Path,
    pairs: Sequence[VideoPair],
    untrained: Restorer,
    trained: Restorer,
    metrics: Mapping[str, Mapping[str, Any]],
    run: Run | NoRun,
    seconds: Callable[[], float],
) -> dict[str, Any]:
    """Write ``metrics.json``, pictures and videos of a run, and record them.

    Args:
        folder: the run's.
        pairs: held-out footage; the first set is what ``input`` and ``restored`` of ``metrics.json`` speak of.
        untrained: the same system before training, the identity baseline.
        trained: the result.
        metrics: the measures' configurations.
        run: where the result is recorded.
        seconds: the run's time so far.

    Returns:
        What ``metrics.json`` holds.
    """
    restored = restore_all(WindowedRestorer(WholePicture(trained)), pairs, "restore held-out footage")
    identity = restore_all(WindowedRestorer(WholePicture(untrained)), pairs, "restore untrained")
    sides: dict[str, dict[str, list[np.ndarray]]] = {}
    clean: dict[str, list[np.ndarray]] = {}
    for pair, first, result in zip(pairs, identity, restored, strict=True):
        each = sides.setdefault(pair.name, {"input": [], "identity": [], "restored": []})
        for side, frames in zip(each.values(), (pair.degraded, first, result), strict=True):
            side.append(frames[pair.measured_from :])
        clean.setdefault(pair.name, []).append(pair.clean[pair.measured_from :])
    measured = measure_all(sides, clean, metrics)
    videos = draw(folder, pairs, restored, run)
    result_file = report(measured, pairs, videos, trained.parameter_counts(), seconds())
    run.log_metrics(
        {
            f"final/{footage}/{side}/{name}": value
            for footage, each in measured.items()
            for side, found in each.items()
            for name, value in found.values.items()
        },
        step=0,
    )
    write_json(folder / "metrics.json", result_file)
    run.log_artifact(folder / "metrics.json")
    return result_file


def report(
    measured: Results,
    pairs: Sequence[VideoPair],
    videos: Mapping[str, Mapping[str, str]],
    parameters: Mapping[str, int],
    seconds: float,
) -> dict[str, Any]:
    """What ``metrics.json`` holds.

    Args:
        measured: each set's sides.
        pairs: held-out footage, in the order in which it was measured.
        videos: see `draw`.
        parameters: part of the network to how many it has, and ``total``.
        seconds: that the run took.
    """
    main = measured[pairs[0].name]
    sets = {name: [pair for pair in pairs if pair.name == name] for name in measured}
    return {
        **{side: found.values for side, found in main.items()},
        "footage": {name: {side: found.values for side, found in each.items()} for name, each in measured.items()},
        "clips": {
            name: {
                side: [{"name": pair.clip, **numbers} for pair, numbers in zip(sets[name], found.clips, strict=True)]
                for side, found in each.items()
            }
            for name, each in measured.items()
        },
        "clips_sha256": {name: {pair.clip: pair.digest() for pair in of_set} for name, of_set in sets.items()},
        "videos": videos,
        "networks": main["restored"].networks,
        "left_out": main["restored"].left_out,
        "frames": {name: sum(len(pair.clean) - pair.measured_from for pair in sets[name]) for name in sets},
        "parameters": parameters,
        "seconds": round(seconds, 1),
    }


def draw(
    folder: Path, pairs: Sequence[VideoPair], restored: Sequence[np.ndarray], run: Run | NoRun
) -> dict[str, dict[str, str]]:
    """A picture for each set; for each clip shown, its videos alone and one with the three side by side.

    Returns:
        Set to clip to the name that its videos bear, as in ``restored-NAME.mp4``; of the clips shown.
    """
    drawn: dict[str, list[dict[str, np.ndarray]]] = {}
    videos: dict[str, dict[str, str]] = {}
    for pair, result in zip(pairs, restored, strict=True):
        rows = drawn.setdefault(pair.name, [])
        if len(rows) == SHOWN_CLIPS or (rows and rows[0]["clean"].shape != pair.clean.shape[1:]):
            continue
        middle = len(result) // 2
        rows.append({"input": pair.degraded[middle], "restored": result[middle], "clean": pair.clean[middle]})
        name = f"{pair.name}-{len(rows)}" if sum(other.name == pair.name for other in pairs) > 1 else pair.name
        videos.setdefault(pair.name, {})[pair.clip] = name
        sides = {"input": pair.degraded, "restored": result, "clean": pair.clean}
        for side, frames in sides.items():
            write_video(folder / f"{side}-{name}.mp4", frames, pair.rate)
        path = folder / f"side_by_side-{name}.mp4"
        write_video(path, labelled_video(sides), pair.rate)
        run.log_artifact(path)
    for name, rows in drawn.items():
        path = folder / f"side_by_side-{name}.png"
        write_png(path, contact_sheet(rows, scale=2))
        run.log_artifact(path)
    return videos


def final_table(result: Mapping[str, Any]) -> Table:
    """Footage and side by measure, from what ``metrics.json`` holds."""
    footage: Mapping[str, Mapping[str, Mapping[str, float]]] = result["footage"]
    names = list(dict.fromkeys(name for each in footage.values() for side in each.values() for name in side))
    columns = [Column("footage"), Column("side"), *(Column(name, better_side(name), ".4f") for name in names)]
    rows = [
        [name, side, *(each[side].get(measure_name) for measure_name in names)]
        for name, each in footage.items()
        for side in ("input", "identity", "restored")
    ]
    return Table(columns, rows)
