"""The tables of `dvface benchmark`."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import PrepareSettings, validated
from dvface.degradation.recipe import Recipe
from dvface.errors import UserError
from dvface.report.tables import Cell, Column, Table

if TYPE_CHECKING:
    from dvface.benchmarks.loading import Loading
    from dvface.benchmarks.memory import Held

CLIPS = 8
"""Clips that loading is measured on."""
MEMORY_SIZE = 96
"""Side in pixels of the clips that pass while memory is watched: thousands of batches must not take long."""


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
    for name, recipe in zip(recipes, built, strict=True):
        if not isinstance(recipe, Recipe):
            raise UserError(f"recipes={name}: it is a mixture of recipes; name those, they differ in speed")
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


def loading_tables(frames: int, size: int, rounds: int, marks: Sequence[int], seed: int) -> str:
    """Our loader against decord that decodes the same clips from memory and does nothing else.

    Args:
        frames: of each of `CLIPS` clips.
        size: their side in pixels, at least 73: decord cannot read narrower ones.
        rounds: of each measurement.
        marks: numbers of batches at which memory is looked at, rising.
        seed: of the degraded sides.
    """
    from dvface.benchmarks.loading import Way, endless_batches, measure_loading, measure_workers, write_pairs
    from dvface.benchmarks.memory import MemoryWatch, can_measure_memory
    from dvface.data.pairing import DrawnOnce, FreshCrops, Stored
    from dvface.data.shards import CLEAN, DEGRADED

    light, vfhq = (build(resolve(load("train", [f"degradation={name}"]))["degradation"]) for name in ("light", "vfhq"))
    both = (CLEAN, DEGRADED)
    stored = [Way("stored pairs", Stored(), light, crop, both) for crop in (size, size // 2)]
    online = [
        Way("light, drawn once", DrawnOnce(seed), light, size // 2, (CLEAN,)),
        Way("light, fresh crops", FreshCrops(), light, size // 2, (CLEAN,)),
        Way("vfhq, fresh crops", FreshCrops(), vfhq, size // 2, (CLEAN,)),
    ]
    with TemporaryDirectory() as scratch:
        folder = write_pairs(Path(scratch) / "pairs", CLIPS, frames, size, light, seed)
        measured = measure_loading(folder, stored, frames, rounds)
        degraded = measure_loading(folder, online, frames, max(1, rounds // 2))
        beside = measure_workers(folder, stored[0], frames, max(1, rounds // 2), workers=2)
        tables = [
            loading_table(measured),
            f"{CLIPS} clips of {frames} frames at {size}×{size}, one core, processor time; frames are those decoded, "
            "of both sides\n",
            online_table(degraded),
            "of our time; decoding is what decord alone takes, the rest reads, checks, crops, flips and stacks\n",
            loading_table([beside]),
            "two workers against two processes that decode, time of the clock",
        ]
        if can_measure_memory():
            small = write_pairs(Path(scratch) / "small", CLIPS, frames, MEMORY_SIZE, light, seed)
            way = Way("stored pairs", Stored(), light, MEMORY_SIZE // 2, both)
            watch = MemoryWatch(endless_batches(small, way, frames, workers=2), marks)
            for _ in watch:
                pass
            tables += ["", memory_table(watch.held, "loading with two workers")]
        else:
            tables.append("memory: this system does not tell it; Linux does")
    return "\n".join(tables)


def loading_table(measured: "Sequence[Loading]") -> str:
    """Frames a second of both sides, and the ratio with what single rounds gave."""
    rows: list[list[Cell]] = [
        [
            one.way,
            one.crop,
            one.frames / one.best.ours,
            one.frames / one.best.bare,
            one.ratio,
            "{:.2f}–{:.2f}".format(*one.spread),
        ]
        for one in measured
    ]
    columns = [
        Column("loading"),
        Column("crop"),
        Column("ours frames/s", form=".1f"),
        Column("bare decord frames/s", form=".1f"),
        Column("ratio", form=".2f"),
        Column("of single rounds"),
    ]
    return Table(columns, rows).text()


def online_table(measured: "Sequence[Loading]") -> str:
    """Frames a second of clips that are degraded while they load, and what the time goes into."""
    rows: list[list[Cell]] = []
    for one in measured:
        best = one.best
        parts = (best.bare, best.recipe, best.ours - best.bare - best.recipe)
        rows.append([one.way, one.crop, one.frames / best.ours, *(100 * part / best.ours for part in parts)])
    columns = [
        Column("degraded while loading"),
        Column("crop"),
        Column("frames/s", form=".1f"),
        *(Column(f"{part} %", form=".1f") for part in ("decoding", "recipe", "rest")),
    ]
    return Table(columns, rows).text()


def memory_table(held: "Sequence[Held]", what: str) -> str:
    """Memory at each mark.

    Args:
        held: at least one mark.
        what: was done meanwhile.
    """
    rows: list[list[Cell]] = [[one.batches, one.process, one.workers, one.process + one.workers] for one in held]
    columns = [
        Column("batches", form=",d"),
        *(Column(name, form=".1f") for name in ("process MB", "workers MB", "together MB")),
    ]
    first, last = held[min(1, len(held) - 1)], held[-1]
    growth = last.process + last.workers - first.process - first.workers
    remark = f"{what}: {growth:+.1f} MB from {first.batches:,d} to {last.batches:,d} batches"
    return f"{Table(columns, rows).text()}\n{remark}"
