"""The testset command: a known set's files in, a folder of videos out."""

import json
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np

from dvface.config.build import build
from dvface.data.shards import CLEAN, DEGRADED, MANIFEST, REJECTED, TESTSET, read_manifest, video_entry, write_manifest
from dvface.data_prep.degrade import check_apart
from dvface.data_prep.engines import ENGINES
from dvface.data_prep.folder import Kind, alone, check_same, clean_up, is_finished
from dvface.data_prep.plan import Rejection
from dvface.data_prep.testsets.protocol import Benchmark, Frames, Item, TestsetPlan
from dvface.data_prep.testsets.settings import TestsetSettings
from dvface.data_prep.work import PARTS, one_thread
from dvface.errors import UserError
from dvface.files import text_sha256, whole_file, write_json, write_text
from dvface.report.progress import Progress
from dvface.video.write import EXACT, encode

FORMAT_VERSION = 1
KIND = Kind(TESTSET, MANIFEST)
SHOWN = 20  # rejected inputs; the file has all


def build_testset(settings: TestsetSettings, say: Callable[[str], None]) -> None:
    """Make the test set, or what is missing of it: killed at any point and called again, it ends with the same bytes.

    ``degraded/KEY.mp4`` and, where there is a reference, ``clean/KEY.mp4``, in step and without loss;
    ``manifest.jsonl``, ``testset.json`` with what is known of the paper's own protocol, and ``rejected.jsonl``.

    Args:
        settings: of the command.
        say: prints a line for the user.

    Raises:
        UserError: a setting is wrong, the output folder holds something else, or no clip could be made.
    """
    root, folder = Path(settings.input), Path(settings.output)
    check_apart(root, folder)
    protocol: Benchmark = build(settings.protocol)
    with tempfile.TemporaryDirectory() as scratch:
        plan = protocol.plan(root, settings.seed, Path(scratch))
    made_of = statement(settings, protocol, plan)
    check_same(folder, made_of, KIND)
    if is_finished(folder, KIND):
        clean_up(folder, KIND)
        say(f"finished before: {len(read_manifest(folder))} clips in {folder}; check them with: dvface verify {folder}")
        return
    with alone(folder):
        check_same(folder, made_of, KIND)
        clean_up(folder, KIND)
        write_json(folder / TESTSET, made_of)
        left = [item for item in plan.items if not part_file(folder, item.key).is_file()]
        try:
            with Progress("testset", total=len(plan.items), start=len(plan.items) - len(left)) as bar:
                for key in ENGINES["local"](Writer(folder.absolute()), left, settings.jobs):
                    bar.advance(note=key)
        except KeyboardInterrupt:
            say("interrupted; the same command goes on from here")
            raise
        _finish(settings, protocol, plan, folder, say)
        clean_up(folder, KIND)


def statement(settings: TestsetSettings, protocol: Benchmark, plan: TestsetPlan) -> dict[str, Any]:
    """Everything that decides about the test set's bytes, and what is known of its model: ``testset.json``."""
    listed = "".join(f"{source.key}\t{source.name}\t{source.size}\n" for source in plan.sources)
    return {
        "format_version": FORMAT_VERSION,
        "protocol": settings.protocol,
        "seed": settings.seed,
        "about": {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(protocol.about).items()
        },
        "input": {"count": len(plan.sources), "names_and_sizes_sha256": text_sha256(listed)},
        "software": {"av": av.__version__, "numpy": np.__version__, "opencv": cv2.__version__},
    }


def part_file(folder: Path, key: str) -> Path:
    """The file that says that a clip is done, until all are."""
    return folder / PARTS / f"{key}.json"


@dataclass(frozen=True)
class Writer:
    """Makes a clip; calling it with an item gives the item's key.

    Attributes:
        folder: the test set.
    """

    folder: Path

    def __call__(self, item: Item) -> str:
        """Write the clip's files and, last, its part file: killed before, it is made again.

        What can be wrong with an input is written into the part file; all else is raised.
        """
        scratch = self.folder / PARTS
        scratch.mkdir(parents=True, exist_ok=True)
        line: dict[str, Any]
        try:
            with one_thread():
                line = self._entry(item, scratch)
        except (UserError, ValueError, cv2.error, av.FFmpegError) as error:
            line = {"source": item.name, "reason": " ".join(str(error).split())}
        write_text(part_file(self.folder, item.key), json.dumps(line, ensure_ascii=False, allow_nan=False))
        return item.key

    def _entry(self, item: Item, scratch: Path) -> dict[str, Any]:
        sides: dict[str, bytes] = {}
        shapes: list[tuple[int, int, int]] = []
        with item.open(scratch) as clip:
            for part, frames in ((DEGRADED, clip.degraded), (CLEAN, clip.clean)):
                if frames is not None:
                    counted = _Counted(frames)
                    sides[part] = encode(counted, clip.rate, **EXACT)
                    shapes.append(counted.shape)
        if shapes[0] != shapes[-1]:
            raise UserError(f"its two sides differ: {shapes[0]} and {shapes[-1]} frames, height and width")
        places = {part.split(".")[0]: f"{part.split('.')[0]}/{item.key}.mp4" for part in sides}
        # Neither before both are whole: a reference without its twin would be measured against nothing.
        for part, data in sides.items():
            with whole_file(self.folder / places[part.split(".")[0]]) as temporary:
                temporary.write_bytes(data)
        return video_entry(item.key, shapes[0], clip.rate, places, sides, clip.meta)


class _Counted:
    """Frames on their way through.

    Attributes:
        shape: how many there were, their height and width.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self.shape = (0, 0, 0)

    def __iter__(self) -> Iterator[np.ndarray]:
        for number, frame in enumerate(self.frames(), 1):
            self.shape = (number, frame.shape[0], frame.shape[1])
            yield frame


def _finish(
    settings: TestsetSettings, protocol: Benchmark, plan: TestsetPlan, folder: Path, say: Callable[[str], None]
) -> None:
    """From parts to the manifest; says what was made and what was not."""
    lines = [json.loads(part_file(folder, item.key).read_text(encoding="utf-8")) for item in plan.items]
    entries = [line for line in lines if "reason" not in line]
    rejected = {*plan.rejected, *(Rejection(line["source"], line["reason"]) for line in lines if "reason" in line)}
    ordered = sorted(rejected, key=lambda one: (one.source, one.reason))
    for one in ordered[:SHOWN]:
        say(f"rejected: {one.source}: {one.reason}")
    if len(ordered) > SHOWN:
        say(f"and {len(ordered) - SHOWN} more, see {folder / REJECTED}")
    if ordered:
        write_text(folder / REJECTED, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in ordered))
    if not entries:
        first = f", the first is {ordered[0].source}: {ordered[0].reason}" if ordered else ""
        raise UserError(f"no clip can be made of input={settings.input}: {len(ordered)} inputs were rejected{first}")
    write_manifest(folder, entries)
    for unknown in protocol.about.unknown:
        say(f"unknown of the paper's own set: {unknown}")
    say(
        f"made {len(entries)} clips, {sum(entry['frames'] for entry in entries)} frames; rejected {len(ordered)} inputs"
    )
    say(f"wrote: {folder}")
