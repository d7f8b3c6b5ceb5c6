"""What a worker does: one video from footage to a part of the data set."""

import json
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dvface.data.shards import Clip, write_shard
from dvface.data_prep.prepare.archives import open_source
from dvface.data_prep.prepare.extract import Candidate, Extraction
from dvface.data_prep.prepare.limits import Beat
from dvface.data_prep.prepare.record import ClipRecord, SourceRecord
from dvface.data_prep.prepare.source import Source
from dvface.data_prep.prepare.tools import Tools, open_tools
from dvface.data_prep.work import PARTS, one_thread
from dvface.errors import UserError, fault_of_machine
from dvface.files import whole_file, write_text
from dvface.video.write import EXACT

GIVEN_UP = ".given-up.jsonl"


@dataclass(frozen=True)
class PartFiles:
    """The files of one source while the data set is being made.

    Attributes:
        records: one line a candidate and one for the source; written last, so it says that the part is done.
        given_up: the same of a source that hung or brought its reader down; tried again by the next start.
        clips: those that are kept so far, a shard.
        strips: small pictures of all candidates by key.
    """

    records: Path
    given_up: Path
    clips: Path
    strips: Path


def part_files(folder: Path, key: str) -> PartFiles:
    """Where the part of the source ``key`` lies in the data set ``folder``."""
    base = folder / PARTS
    return PartFiles(*(base / f"{key}{suffix}" for suffix in (".jsonl", GIVEN_UP, ".tar", ".zip")))


@dataclass(frozen=True)
class Part:
    """What a part file says.

    Attributes:
        source: what became of the source.
        clips: its candidates.
        entries: lines of the manifest, of the clips in the part's shard.
    """

    source: SourceRecord
    clips: list[ClipRecord]
    entries: list[dict[str, Any]]


def write_part(path: Path, part: Part) -> None:
    """Write a part's records: the part is done."""
    lines = [*(clip.line() for clip in part.clips), *({"kind": "entry", **one} for one in part.entries)]
    text = "".join(json.dumps(line, allow_nan=False) + "\n" for line in [*lines, part.source.line()])
    write_text(path, text)


def read_part(folder: Path, key: str) -> Part:
    """The records of a part that is done."""
    sources, clips, entries = [], [], []
    files = part_files(folder, key)
    path = files.records if files.records.is_file() else files.given_up
    for text in path.read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        kind = line.pop("kind")
        if kind == "clip":
            clips.append(ClipRecord(**line))
        elif kind == "entry":
            entries.append(line)
        else:
            sources.append(SourceRecord(**line))
    return Part(sources[0], clips, entries)


@dataclass(frozen=True)
class Work:
    """Everything that a worker needs to know; calling it makes the part of one source.

    Attributes:
        specification: of the tools, see `dvface.data_prep.prepare.tools`.
        detector: name of the detector that finds the faces of the whole data set.
        folder: the data set.
    """

    specification: str
    detector: str
    folder: Path

    def load(self) -> None:
        """Load the networks, once a process.

        Raises:
            UserError: this machine would find faces by another network than the one that began.
        """
        found = open_tools(self.specification).detector.name
        if found != self.detector:
            raise UserError(
                f"detector: {found} is what a worker has at hand, and {self.detector} is what began; choose one by name"
            )

    def __call__(self, source: Source, beat: Beat) -> Source:
        """Make the part of ``source`` and, last, its records: killed before, it is made again.

        What can be wrong with footage is written into the records; what is wrong with the machine is raised.
        """
        tools = open_tools(self.specification)
        clips: list[ClipRecord] = []
        entries: list[dict[str, Any]] = []
        files = part_files(self.folder, source.key)
        extraction, reason, place = None, None, source.path
        with one_thread(), whole_file(files.strips) as strips, zipfile.ZipFile(strips, "w") as pictures:
            try:
                with open_source(source, files.records.parent, beat) as place:
                    extraction = Extraction(tools, source, place, beat)
                    kept = self._kept(extraction, tools, clips, pictures)
                    entries = write_shard(files.clips, kept, EXACT)
            except UserError as error:
                # Without where it lies: the same for the same footage.
                reason = " ".join(str(error).removeprefix(f"{place} ").split())
                clips.clear()
            except Exception as error:
                # Whatever foreign code makes of foreign footage must not end the work on all other files.
                if fault_of_machine(error):
                    raise
                reason = f"cannot be worked through ({type(error).__name__}: {' '.join(str(error).split())})"
                clips.clear()
        part = Part(_account(source, extraction, reason, clips), clips, entries)
        write_part(files.records, part)
        return source

    def failed(self, source: Source, reason: str) -> Source:
        """Record that nothing could be made of ``source`` this time."""
        part = Part(SourceRecord(source.key, source.name, reason), [], [])
        write_part(part_files(self.folder, source.key).given_up, part)
        return source

    def _kept(
        self, extraction: Extraction, tools: Tools, records: list[ClipRecord], pictures: zipfile.ZipFile
    ) -> Iterator[Clip]:
        """The clips that no filter refuses; all go to ``records`` and ``pictures``."""
        for candidate in extraction.candidates():
            records.append(candidate.record)
            pictures.writestr(zipfile.ZipInfo(candidate.record.key), candidate.strip)
            if candidate.face is not None and not candidate.record.failed:
                with extraction.clock.step("encode"):
                    yield _clip(extraction.source, candidate, candidate.face.frames, tools)


def _clip(source: Source, candidate: Candidate, frames: np.ndarray, tools: Tools) -> Clip:
    record, face = candidate.record, candidate.face
    assert face is not None
    meta = {
        "source": source.name,
        "recording": source.origin.recording,
        "track": record.track,
        "first_frame": record.first_frame,
        "seconds": record.seconds,
        "measures": dict(record.measures),
        "detector": tools.detector.name,
        # In pixels of the crop; what rivals ask their users to bring.
        "landmarks": np.round(face.landmarks.astype(float), 2).tolist(),
        # From pixels of the footage to pixels of the crop: the way back too.
        "matrices": np.round(candidate.matrices, 6).tolist(),
    }
    return Clip(record.key, frames, face.rate, None, meta)


def _account(
    source: Source, extraction: Extraction | None, reason: str | None, clips: list[ClipRecord]
) -> SourceRecord:
    if extraction is None:
        return SourceRecord(source.key, source.name, reason)
    counts: Counter[str] = Counter(extraction.assembler.counts)
    counts["candidates"] = len(clips)
    if not clips and reason is None:
        reason = _nothing(counts, extraction.tools.clip_frames)
    return SourceRecord(
        source.key,
        source.name,
        reason,
        tuple(extraction.reading.remarks),
        {**extraction.reading.facts, "clip_rate": str(extraction.reading.rate)},
        dict(counts),
        {name: round(value, 3) for name, value in extraction.clock.seconds.items()},
    )


def _nothing(counts: Mapping[str, int], clip_frames: int) -> str:
    """Why footage that could be read gives no clip."""
    frames, faces = counts["frames"], counts["frames"] - counts["frames_without_face"]
    if frames < clip_frames:
        return f"has {frames} frames, fewer than clip_frames={clip_frames}"
    if not faces:
        return f"shows no face in any of its {frames} frames"
    return f"shows a face in {faces} of its {frames} frames and in no clip_frames={clip_frames} of them in a row"
