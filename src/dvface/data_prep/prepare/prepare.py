"""The prepare command: raw footage in, shards of aligned face clips out."""

import json
import zipfile
from collections import Counter
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.metadata import version
from pathlib import Path
from shutil import rmtree
from typing import Any

import av

from dvface.config.build import build
from dvface.config.schema import PrepareSettings
from dvface.data.shards import REJECTED
from dvface.data_prep.degrade import check_apart
from dvface.data_prep.engines import ENGINES
from dvface.data_prep.folder import Kind, alone, check_same, clean_up, is_finished
from dvface.data_prep.plan import Rejection
from dvface.data_prep.prepare.limits import Limited
from dvface.data_prep.prepare.packing import Collection, collect, pack
from dvface.data_prep.prepare.report import write_contact_sheet, write_report
from dvface.data_prep.prepare.report_data import Report
from dvface.data_prep.prepare.source import Layout, Source
from dvface.data_prep.prepare.tools import Tools, open_tools, specification
from dvface.data_prep.prepare.work import GIVEN_UP, Work, part_files, read_part
from dvface.data_prep.work import PARTS
from dvface.errors import UserError
from dvface.files import text_sha256, write_json, write_text
from dvface.report.progress import Progress

FORMAT_VERSION = 1
KIND = Kind("prepare.json", "summary.json")
REPORT, SHEET = "report.html", "contact_sheet.png"
SOFTWARE = (
    "dvface",
    "av",
    "numpy",
    "opencv-python-headless",
    "scenedetect-headless",
    "dlib-bin",
    "torch",
    "torchvision",
)
SHOWN = 20  # ignored and refused inputs; the file has all
MEGABYTE = 1_000_000


def prepare(settings: PrepareSettings, say: Callable[[str], None]) -> None:
    """Make the data set, or what is missing of it: killed at any point and called again, it ends with the same bytes.

    Args:
        settings: of the command.
        say: prints a line for the user.

    Raises:
        UserError: a setting is wrong, the output folder holds something else, or no clip could be made.
        WeightsMissing: a network that was asked for is not at hand.
    """
    root, folder = Path(settings.input), Path(settings.output)
    check_apart(root, folder)
    layout: Layout = build(settings.layout)
    sources, ignored = layout.find(root)
    chosen = specification(settings.model_dump())
    tools = open_tools(chosen)
    say(f"{len(sources)} videos; faces by {tools.detector.name} ({', '.join(tools.detector.files)})")
    made_of = statement(settings, tools, sources)
    check_same(folder, made_of, KIND)
    if is_finished(folder, KIND):
        with alone(folder):
            clean_up(folder, KIND)
        say(f"finished before; look at {folder / REPORT}, check it with: dvface verify {folder}")
        return
    with alone(folder):
        check_same(folder, made_of, KIND)
        if not (folder / KIND.settings).is_file():
            rmtree(folder / PARTS, ignore_errors=True)  # whoever left it did not say what it is of
        clean_up(folder, KIND)
        write_json(folder / KIND.settings, made_of)
        (folder / PARTS).mkdir(exist_ok=True)
        try:
            _make(sources, Work(chosen, tools.detector.name, folder.absolute()), settings)
            _finish(settings, folder, sources, ignored, made_of, say)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on from here")
            raise
        clean_up(folder, KIND)


def statement(settings: PrepareSettings, tools: Tools, sources: Sequence[Source]) -> dict[str, Any]:
    """Everything that decides about the data set's bytes: the content of ``prepare.json``."""
    without = {"input", "output", "jobs", "engine", "time_limit"}
    listed = "".join(f"{source.key}\t{source.name}\t{source.size}\n" for source in sources)
    return {
        "format_version": FORMAT_VERSION,
        "settings": settings.model_dump(exclude=without),
        "detector": {"name": tools.detector.name, "files": list(tools.detector.files)},
        "identity": {"files": list(tools.identity.files)},
        "input": {"count": len(sources), "names_and_sizes_sha256": text_sha256(listed)},
        "software": {
            **{name: version(name) for name in SOFTWARE},
            **{name: ".".join(map(str, found)) for name, found in sorted(av.library_versions.items())},
        },
    }


def _make(sources: Sequence[Source], work: Work, settings: PrepareSettings) -> None:
    """Make the parts that are not done yet, and try again those that were given up."""
    for path in (work.folder / PARTS).glob(f"*{GIVEN_UP}"):
        path.unlink()
    left = [source for source in sources if not part_files(work.folder, source.key).records.is_file()]
    # The longest first: the last to be done should not be the one that takes hours.
    left.sort(key=lambda source: (-source.size, source.key))
    total = sum(_megabytes(source) for source in sources)
    limited = Limited(work, settings.time_limit, work.failed, work.load)
    with Progress("prepare MB", total=total, start=total - sum(map(_megabytes, left))) as bar:
        done: Source
        for done in ENGINES[settings.engine](limited, left, settings.jobs):
            bar.advance(_megabytes(done), note=done.name)


def _megabytes(source: Source) -> int:
    return source.size // MEGABYTE + 1


def _finish(
    settings: PrepareSettings,
    folder: Path,
    sources: Sequence[Source],
    ignored: Sequence[Rejection],
    made_of: dict[str, Any],
    say: Callable[[str], None],
) -> None:
    """From parts to shards, report and summary; says what was made and what was not."""
    parts = [read_part(folder, source.key) for source in sources]
    found = collect(parts, sources, settings.duplicates, settings.seed, settings.split.model_dump())
    pack(folder, found, settings.seed, settings.clips_per_shard)
    _write_rejections(folder, found, ignored)
    report = _report(folder, found, sources, ignored, made_of)
    write_report(folder / REPORT, report)
    if found.kept:
        write_contact_sheet(folder / SHEET, report)
    _say(found, ignored, folder, say)
    if not found.kept:
        raise UserError(f"no clip can be made of input={settings.input}; {folder / REPORT} says why")
    write_json(folder / KIND.last, summary(found, ignored, made_of))


def summary(found: Collection, ignored: Sequence[Rejection], made_of: dict[str, Any]) -> dict[str, Any]:
    """Counts: the content of ``summary.json``."""
    splits = Counter(found.splits.values())
    return {
        "sources": len(found.sources),
        "sources_refused": sum(source.reason is not None for source in found.sources),
        "files_ignored": len(ignored),
        "candidates": len(found.clips),
        "kept": len(found.kept),
        "refused_by": dict(refusals(found)),
        "counts": dict(sum((Counter(one.counts) for one in found.sources), Counter())),
        "splits": {
            name: {
                "clips": splits[name],
                "frames": sum(clip.frames for clip in found.kept if found.splits[clip.key] == name),
                "groups": len({found.people[clip.key] for clip in found.kept if found.splits[clip.key] == name}),
            }
            for name in sorted(splits)
        },
        "detector": made_of["detector"],
    }


def refusals(found: Collection) -> Counter[str]:
    """How many clips each filter refuses; a clip that fails several counts at its first."""
    return Counter(next(iter(clip.failed)) for clip in found.clips if clip.failed)


def _write_rejections(folder: Path, found: Collection, ignored: Sequence[Rejection]) -> None:
    names = {source.key: source.name for source in found.sources}
    lines: list[dict[str, Any]] = [{"source": one.source, "reason": one.reason} for one in ignored]
    lines += [{"source": one.name, "reason": one.reason} for one in found.sources if one.reason is not None]
    lines += [{"source": one.name, "remark": remark} for one in found.sources for remark in one.remarks]
    lines += [{"source": names[one.source], "clip": one.key, "failed": one.failed} for one in found.clips if one.failed]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    # Names on a disk may be anything; a file of UTF-8 may not.
    write_text(folder / REJECTED, text.encode(errors="surrogateescape").decode(errors="replace"))


def _report(
    folder: Path,
    found: Collection,
    sources: Sequence[Source],
    ignored: Sequence[Rejection],
    made_of: dict[str, Any],
) -> Report:
    by_key = {clip.key: clip.source for clip in found.clips}

    def strip(key: str) -> bytes | None:
        with zipfile.ZipFile(part_files(folder, by_key[key]).strips) as pictures:
            return pictures.read(key)

    judged = {**made_of["settings"]["filters"], "identity": made_of["settings"]["identity"]}
    own = {source.key: source.origin.recording for source in sources}
    return Report(
        settings=made_of["settings"],
        filters=judged,
        detector=made_of["detector"]["name"],
        detector_files=made_of["detector"]["files"],
        sources=found.sources,
        clips=found.clips,
        ignored=ignored,
        splits=found.splits,
        people=found.people,
        recordings=own,
        rates={one.key: float(Fraction(one.facts["clip_rate"])) for one in found.sources if "clip_rate" in one.facts},
        strip=strip,
    )


def _say(found: Collection, ignored: Sequence[Rejection], folder: Path, say: Callable[[str], None]) -> None:
    lost = [*ignored, *(Rejection(one.name, one.reason) for one in found.sources if one.reason is not None)]
    for one in lost[:SHOWN]:
        say(f"refused: {one.source}: {one.reason}")
    if len(lost) > SHOWN:
        say(f"and {len(lost) - SHOWN} more, see {folder / REJECTED}")
    marked = [(one.name, remark) for one in found.sources for remark in one.remarks]
    for name, remark in marked[:SHOWN]:
        say(f"note: {name}: {remark}")
    if len(marked) > SHOWN:
        say(f"and {len(marked) - SHOWN} more, see {folder / REJECTED}")
    for remark in found.remarks:
        say(f"note: split: {remark}")
    by_filter = ", ".join(f"{name} {count}" for name, count in refusals(found).most_common())
    say(f"{len(found.clips)} clips, {len(found.kept)} kept" + (f"; refused by {by_filter}" if by_filter else ""))
    for name, count in sorted(Counter(found.splits.values()).items()):
        say(f"{name}: {count} clips in {folder / name}")
    say(f"wrote: {folder / REPORT}")
