"""The tables of `dvface benchmark`."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import PrepareSettings, validated
from dvface.report.tables import Cell, Column, Table


def degradation_table(recipes: Sequence[str], clips: int, frames: int, size: int, seed: int) -> str:
    """Our recipes against the same steps written plainly.

    Args:
        recipes: names in ``conf/degradation``.
        clips: how many.
        frames: of each.
        size: side in pixels.
        seed: of the draws.
    """
    from dvface.benchmarks.degradation import measure_speed
    from dvface.benchmarks.footage import talking_head

    built = [build(resolve(load("train", [f"degradation={name}"]))["degradation"]) for name in recipes]
    footage = talking_head(clips, frames, size)
    rows: list[list[Cell]] = []
    for recipe in built:
        found = measure_speed(recipe, footage, seed)
        rows.append(
            [
                found.recipe,
                found.ours,
                found.plain,
                found.ours / found.plain,
                found.ours_without_codecs / found.plain_without_codecs,
                100 * found.codec_share,
                found.difference,
            ]
        )
    columns = [
        Column("recipe"),
        Column("ours frames/s", form=".1f"),
        Column("plain frames/s", form=".1f"),
        Column("ratio", form=".2f"),
        Column("ratio without codecs", form=".2f"),
        Column("codecs % of ours", form=".0f"),
        Column("largest difference", form=".1e"),
    ]
    remark = f"{clips} clips of {frames} frames at {size}×{size}, one core, processor time, the same draws for both"
    return f"{Table(columns, rows).text()}\n{remark}"


def preparation_tables(footage: str, detector: str) -> str:
    """How fast raw footage becomes clips, step by step, against decoding it and nothing else.

    Args:
        footage: a folder of videos; empty for a packaged talking head.
        detector: name in ``conf/detector``.
    """
    from dvface.benchmarks.footage import write_talking_head
    from dvface.benchmarks.preparation import measure_preparation
    from dvface.data_prep.prepare.tools import open_tools, specification

    with TemporaryDirectory() as scratch:
        root = Path(footage) if footage else write_talking_head(Path(scratch))
        words = [f"input={root}", f"output={root}", f"detector={detector}"]
        # The packaged head is enlarged sixfold and would be refused before its clips are encoded.
        words += [] if footage else ["filters.sharpness.least=0"]
        settings = validated(PrepareSettings, resolve(load("prepare", words)))
        sources, _ = build(settings.layout).find(root)
        tools = open_tools(specification(settings.model_dump()))
        found = measure_preparation(tools, [source for source in sources if source.member is None])
    total = sum(found.seconds.values())
    rows: list[list[Cell]] = [
        [name, 100 * seconds / total, 1000 * seconds / found.frames, found.frames / seconds]
        for name, seconds in sorted(found.seconds.items(), key=lambda pair: -pair[1])
    ]
    rows.append(["all", 100.0, 1000 * total / found.frames, found.frames / total])
    bare = found.bare_seconds / found.bare_frames
    rows.append(["decoding alone", None, 1000 * bare, 1 / bare])
    columns = [
        Column("step"),
        Column("% of time", form=".1f"),
        Column("ms a frame", form=".2f"),
        Column("frames/s", form=".1f"),
    ]
    lines = [
        Table(columns, rows).text(),
        f"{found.frames} frames decoded of {found.bare_frames} in {len(sources)} videos, {found.clips} clips kept",
        f"faces by {tools.detector.name}: frames together take {found.together / found.singly:.2f} of the time of "
        "one by one",
        "one core, processor time",
    ]
    return "\n".join(lines)
