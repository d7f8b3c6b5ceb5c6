"""From parts to the data set: what is a duplicate, what is trained on, and shards in a mixed order."""

import json
import tarfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dvface.data.shards import CLEAN, META, write_manifest, write_tar
from dvface.data_prep.prepare.duplicates import duplicates
from dvface.data_prep.prepare.record import ClipRecord, SourceRecord
from dvface.data_prep.prepare.source import Source
from dvface.data_prep.prepare.split import Assignment, Item, split
from dvface.data_prep.prepare.work import Part, part_files
from dvface.files import sha256
from dvface.report.progress import Progress
from dvface.seeding import derive_seed

DUPLICATE = "duplicate"
"""Name, among the filters, of what refuses a clip that repeats another."""


@dataclass(frozen=True)
class Collection:
    """All that was made, before it is packed.

    Attributes:
        sources: what became of every source.
        clips: all candidates; duplicates are refused too.
        entries: the manifest's lines by clip.
        assignments: where each source with clips goes, by its key.
    """

    sources: Sequence[SourceRecord]
    clips: Sequence[ClipRecord]
    entries: Mapping[str, Mapping[str, Any]]
    assignments: Mapping[str, Assignment]

    @property
    def kept(self) -> list[ClipRecord]:
        """The clips of the data set, in the order of their keys."""
        return [clip for clip in self.clips if not clip.failed]

    @property
    def splits(self) -> dict[str, str]:
        """Clip -> ``train``, ``validation`` or ``test``."""
        return {clip.key: self.assignments[clip.source].split for clip in self.kept}

    @property
    def remarks(self) -> list[str]:
        """What was decided against a data set's own splits, a sentence each."""
        return sorted({one.remark for one in self.assignments.values() if one.remark})

    @property
    def people(self) -> dict[str, str]:
        """Clip -> the group of recordings and people that its source belongs to."""
        return {clip.key: self.assignments[clip.source].group for clip in self.kept}


def collect(
    parts: Sequence[Part], sources: Sequence[Source], most: int | None, seed: int, shares: Mapping[str, Any]
) -> Collection:
    """Judge all clips together.

    Args:
        parts: of all sources.
        sources: the same sources as the layout found them.
        most: bits in which prints of duplicates may differ; None looks for none.
        seed: of the data set.
        shares: `dvface.config.schema.SplitSettings` as a mapping.
    """
    clips = sorted((clip for part in parts for clip in part.clips), key=lambda clip: clip.key)
    repeated = {} if most is None else duplicates([clip for clip in clips if not clip.failed], most)
    owners = {clip.key: clip.source for clip in clips}
    repeats: dict[str, set[str]] = defaultdict(set)
    for key, other in repeated.items():
        repeats[owners[key]].add(owners[other])
    clips = [
        replace(clip, failed={DUPLICATE: f"repeats {repeated[clip.key]}"}) if clip.key in repeated else clip
        for clip in clips
    ]
    by_source: dict[str, list[ClipRecord]] = defaultdict(list)
    for clip in clips:
        if not clip.failed:
            by_source[clip.source].append(clip)
    items = [
        Item(
            source.key,
            source.origin.recording,
            source.origin.person,
            source.origin.split,
            len(by_source[source.key]),
            _people(by_source[source.key], shares["most_distance"]),
            sorted(repeats[source.key]),
        )
        for source in sources
        if source.key in by_source or source.key in repeats
    ]
    wanted = {name: shares[name] for name in ("validation", "test")}
    assignments = split(items, wanted, seed, shares["by"], shares["most_distance"])
    entries = {entry["key"]: entry for part in parts for entry in part.entries}
    return Collection([part.source for part in parts], clips, entries, assignments)


def _people(clips: Sequence[ClipRecord], most_distance: float) -> list[list[float]]:
    """Mean embeddings: one for each stretch of a track that shows one person, since a missed cut may change them."""
    stretches: dict[int, list[list[tuple[float, ...]]]] = defaultdict(list)
    for clip in clips:
        if clip.person is None:
            continue
        of_track = stretches[clip.track]
        if of_track and np.linalg.norm(np.mean(of_track[-1], axis=0) - clip.person) < most_distance:
            of_track[-1].append(clip.person)
        else:
            of_track.append([clip.person])
    return [np.mean(one, axis=0).tolist() for number in sorted(stretches) for one in stretches[number]]


def pack(folder: Path, collection: Collection, seed: int, clips_per_shard: int) -> None:
    """Write ``train/shard-00000.tar`` … and the manifests of all splits; done again, it writes the same bytes.

    Clips lie in an order drawn from ``seed``, so that neighbours in a shard come from different footage.
    """
    by_split: dict[str, list[ClipRecord]] = defaultdict(list)
    for clip in sorted(collection.kept, key=lambda clip: derive_seed(seed, "shard order", clip.key)):
        by_split[collection.splits[clip.key]].append(clip)
    places = _Places(folder)
    with Progress("pack", total=len(collection.kept)) as bar:
        for name, clips in sorted(by_split.items()):
            lines: list[dict[str, Any]] = []
            for at in range(0, len(clips), clips_per_shard):
                path = folder / name / f"shard-{at // clips_per_shard:05d}.tar"
                group = clips[at : at + clips_per_shard]
                write_tar(path, _members(group, places, collection, name))
                digest = sha256(path)
                lines += [
                    {
                        **collection.entries[clip.key],
                        "shard": path.name,
                        "shard_sha256": digest,
                        **_known(clip, collection, name),
                    }
                    for clip in group
                ]
                bar.advance(len(group), note=f"{name}/{path.name}")
            write_manifest(folder / name, lines)


def _known(clip: ClipRecord, collection: Collection, name: str) -> dict[str, Any]:
    return {"split": name, "group": collection.assignments[clip.source].group}


def _members(
    clips: Sequence[ClipRecord], places: "_Places", collection: Collection, name: str
) -> Iterator[tuple[str, bytes]]:
    for clip in clips:
        yield f"{clip.key}.{CLEAN}", places.read(clip, CLEAN)
        meta = {**json.loads(places.read(clip, META)), **_known(clip, collection, name)}
        yield f"{clip.key}.{META}", json.dumps(meta).encode()


class _Places:
    """Where the clips' files lie within the parts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._members: dict[str, dict[str, tuple[int, int]]] = {}

    def read(self, clip: ClipRecord, part: str) -> bytes:
        path = part_files(self.folder, clip.source).clips
        if clip.source not in self._members:
            with tarfile.open(path) as tar:
                self._members[clip.source] = {member.name: (member.offset_data, member.size) for member in tar}
        offset, size = self._members[clip.source][f"{clip.key}.{part}"]
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)
