"""The degrade command: clean footage in, a paired data set out."""

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dvface.config.build import build
from dvface.config.schema import DegradeSettings
from dvface.data.pairing import Degradation
from dvface.data.shards import SETTINGS, read_manifest, write_manifest
from dvface.data_prep.engines import ENGINES
from dvface.data_prep.folder import alone, check_same, clean_up, is_finished, rejected_file
from dvface.data_prep.footage import open_footage
from dvface.data_prep.formats import FORMATS
from dvface.data_prep.memory import check_memory
from dvface.data_prep.plan import Cutting, Footage, Plan, Rejection, Unit
from dvface.data_prep.preview import write_preview
from dvface.data_prep.work import PARTS, Work, part_file, read_part
from dvface.errors import UserError
from dvface.files import write_json, write_text
from dvface.report.progress import Progress

FORMAT_VERSION = 1
LOOKED = "footage.json"
"""In the folder of parts: what was found by looking at every input, so that a second run need not."""

SHOWN = 20  # rejected inputs; the file has all


def degrade(settings: DegradeSettings, say: Callable[[str], None]) -> None:
    """Make the data set, or what is missing of it: killed at any point and called again, it ends with the same bytes.

    Args:
        settings: of the command.
        say: prints a line for the user.

    Raises:
        UserError: a setting is wrong, the output folder holds something else, or nothing could be made.
    """
    source, folder = Path(settings.input), Path(settings.output)
    footage = open_footage(source)
    check_apart(source, folder)
    recipe: Degradation = build(settings.degradation)
    say(f"recipe {recipe.describe()}")
    if settings.preview:
        say(f"wrote: {write_preview(folder, footage, recipe, settings.seed)}")
        return
    made_of = statement(settings, footage, recipe)
    check_same(folder, made_of)
    if is_finished(folder):
        clean_up(folder)
        say(f"finished before: {len(read_manifest(folder))} clips in {folder}; check them with: dvface verify {folder}")
        return
    form = FORMATS[settings.format]
    plan, looked = footage.plan(
        Cutting(settings.clip_frames, settings.clips_per_shard, form.mixed), _known(folder, made_of)
    )
    check_memory(plan, settings.jobs)
    if not plan.units:
        raise _nothing(source, plan.rejected)
    with alone(folder):
        check_same(folder, made_of)
        clean_up(folder)
        write_json(folder / SETTINGS, made_of)
        write_json(folder / PARTS / LOOKED, looked)
        try:
            _make(plan, Work(recipe, settings.seed, form, folder.absolute()), settings.engine, settings.jobs)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on from here")
            raise
        _finish(plan, folder, source, say)
        clean_up(folder)


def statement(settings: DegradeSettings, footage: Footage, recipe: Degradation) -> dict[str, Any]:
    """Everything that decides about the data set's bytes: the content of ``degrade.json``."""
    return {
        "format_version": FORMAT_VERSION,
        "recipe": recipe.describe(),
        "degradation": settings.degradation,
        "seed": settings.seed,
        "format": settings.format,
        "clip_frames": settings.clip_frames,
        "clips_per_shard": settings.clips_per_shard,
        "input": footage.statement(),
        "software": {
            "av": av.__version__,
            **{name: ".".join(map(str, version)) for name, version in sorted(av.library_versions.items())},
            "numpy": np.__version__,
            "opencv": cv2.__version__,
        },
    }


def check_apart(source: Path, folder: Path) -> None:
    """Refuse an output folder within the input, or the other way about."""
    one, other = source.resolve(), folder.resolve()
    if one == other or one in other.parents or other in one.parents:
        raise UserError(f"output={folder} and input={source} lie within one another; give a folder elsewhere")


def _known(folder: Path, made_of: dict[str, Any]) -> dict[str, Any] | None:
    """What an earlier run of the same data set found by looking, if there was one."""
    file = folder / PARTS / LOOKED
    if not ((folder / SETTINGS).is_file() and file.is_file()):
        return None
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _make(plan: Plan, work: Work, engine: str, jobs: int) -> None:
    """Make the units that are not done yet."""
    left = [unit for unit in plan.units if not part_file(work.folder, unit).is_file()]
    total = sum(unit.count for unit in plan.units)
    with Progress("degrade", total=total, start=total - sum(unit.count for unit in left)) as bar:
        done: Unit
        for done in ENGINES[engine](work, left, jobs):
            bar.advance(done.count, note=done.name)


def _finish(plan: Plan, folder: Path, source: Path, say: Callable[[str], None]) -> None:
    """From parts to the manifest; says what was made and what was not."""
    entries: list[dict[str, Any]] = []
    rejected = list(plan.rejected)
    for unit in plan.units:
        own, refused = read_part(folder, unit)
        entries += own
        rejected += refused
    rejected = sorted(set(rejected), key=lambda one: (one.source, one.reason))
    for one in rejected[:SHOWN]:
        say(f"rejected: {one.source}: {one.reason}")
    if rejected:
        lines = [json.dumps({"source": one.source, "reason": one.reason}, ensure_ascii=False) for one in rejected]
        write_text(rejected_file(folder), "\n".join(lines) + "\n")
    if len(rejected) > SHOWN:
        say(f"and {len(rejected) - SHOWN} more, see {rejected_file(folder)}")
    if not entries:
        raise _nothing(source, rejected)
    write_manifest(folder, sorted(entries, key=lambda entry: entry["key"]))
    if plan.left_out:
        say(f"left out: {plan.left_out} frames that fill no clip at the ends of their videos")
    frames = sum(entry["frames"] for entry in entries)
    quality = sum(entry["psnr"] for entry in entries) / len(entries)
    say(f"made {len(entries)} clips, {frames} frames, {quality:.2f} dB on average; rejected {len(rejected)} inputs")
    say(f"wrote: {folder}")


def _nothing(source: Path, rejected: Iterable[Rejection]) -> UserError:
    rejected = list(rejected)
    first = f", the first is {rejected[0].source}: {rejected[0].reason}" if rejected else ""
    return UserError(f"no clip can be made of input={source}: {len(rejected)} inputs were rejected{first}")
