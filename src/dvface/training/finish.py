"""The end of a run: restore what was held out, measure it, draw it, record it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dvface.data.pairs import VideoPair
from dvface.evaluation.measure import Measured, measure, metric_factories
from dvface.files import write_json
from dvface.inference.windows import WindowedRestorer
from dvface.models.restorer import Restorer
from dvface.report.panels import contact_sheet, labelled_video, write_png
from dvface.report.progress import Progress
from dvface.report.tables import Column, Table
from dvface.tracking.run import NoRun, Run
from dvface.video.write import write_video

MAIN = "held_out"


@dataclass(frozen=True)
class Side:
    """One column of the final table: a version of one held-out video."""

    footage: str
    name: str
    frames: np.ndarray
    clean: np.ndarray


def restore_all(restorer: WindowedRestorer, pairs: list[VideoPair]) -> list[np.ndarray]:
    """Every pair's degraded side, restored: (T, H, W, 3) uint8 each."""
    restored = []
    with Progress("restore held-out footage", total=sum(len(pair.degraded) for pair in pairs)) as bar:
        for pair in pairs:
            frames = []
            for frame in restorer(pair.degraded):
                frames.append(frame)
                bar.advance()
            restored.append(np.stack(frames))
    return restored


def finish(
    folder: Path,
    pairs: list[VideoPair],
    untrained: Restorer,
    trained: Restorer,
    metrics: Mapping[str, Mapping[str, Any]],
    run: Run | NoRun,
    seconds: Callable[[], float],
) -> dict[str, Any]:
    """Write ``metrics.json``, pictures and videos of a run, and record them.

    Args:
        folder: the run's.
        pairs: held-out footage; `MAIN` is what ``input`` and ``restored`` of ``metrics.json`` speak of.
        untrained: the same system before training, the identity baseline.
        trained: the result.
        metrics: the measures' configurations.
        run: where the result is recorded.
        seconds: the run's time so far.

    Returns:
        What ``metrics.json`` holds.
    """
    restored = restore_all(WindowedRestorer(trained), pairs)
    identity = restore_all(WindowedRestorer(untrained), pairs[:1])
    sides: list[Side] = []
    for pair, result in zip(pairs, restored, strict=True):
        sides.append(Side(pair.name, "input", pair.degraded, pair.clean))
        if pair is pairs[0]:
            sides.append(Side(pair.name, "identity", identity[0], pair.clean))
        sides.append(Side(pair.name, "restored", result, pair.clean))
    measured: dict[str, dict[str, Measured]] = {}
    with Progress("measure", total=len(sides)) as bar:
        for side in sides:
            values = measure(metric_factories(metrics), side.frames, side.clean)
            measured.setdefault(side.footage, {})[side.name] = values
            bar.advance(note=f"{side.footage} {side.name}")
    main = measured[pairs[0].name]
    result_file = {
        **{name: values.values for name, values in main.items()},
        "footage": {name: {side: values.values for side, values in each.items()} for name, each in measured.items()},
        "networks": main["restored"].networks,
        "left_out": main["restored"].left_out,
        "frames": {pair.name: len(pair.clean) for pair in pairs},
        "parameters": trained.parameter_counts(),
        "seconds": round(seconds(), 1),
    }
    _draw(folder, pairs, restored, run)
    write_json(folder / "metrics.json", result_file)
    run.log_metrics(
        {
            f"final/{footage}/{side}/{name}": value
            for footage, each in measured.items()
            for side, values in each.items()
            for name, value in values.values.items()
        },
        step=0,
    )
    run.log_artifact(folder / "metrics.json")
    return result_file


def _draw(folder: Path, pairs: list[VideoPair], restored: list[np.ndarray], run: Run | NoRun) -> None:
    """One picture of all footage, and for each a restored video and one with the three side by side."""
    rows = []
    for pair, result in zip(pairs, restored, strict=True):
        middle = len(result) // 2
        rows.append({"input": pair.degraded[middle], "restored": result[middle], "clean": pair.clean[middle]})
    write_png(folder / "side_by_side.png", contact_sheet(rows, scale=2))
    run.log_artifact(folder / "side_by_side.png")
    for pair, result in zip(pairs, restored, strict=True):
        write_video(folder / f"restored-{pair.name}.mp4", result, pair.rate)
        path = folder / f"side_by_side-{pair.name}.mp4"
        write_video(path, labelled_video({"input": pair.degraded, "restored": result, "clean": pair.clean}), pair.rate)
        run.log_artifact(path)


def final_table(result: Mapping[str, Any]) -> Table:
    """Footage and side by measure, from what ``metrics.json`` holds."""
    names = list(dict.fromkeys(name for each in result["footage"].values() for side in each.values() for name in side))
    columns = [Column("footage"), Column("side"), *(Column(name, form=".4f") for name in names)]
    rows = [
        [footage, side, *(values.get(name) for name in names)]
        for footage, each in result["footage"].items()
        for side, values in each.items()
    ]
    return Table(columns, rows)
