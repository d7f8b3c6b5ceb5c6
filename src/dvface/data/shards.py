"""WebDataset shards of clips: written whole, listed in a manifest, verified against it.

A sample is ``KEY.clean.mp4`` (lossless H.264), ``KEY.meta.json`` and, where a degraded side is stored,
``KEY.degraded.mp4``. ``manifest.jsonl`` has one line a clip. A data set of videos, as `dvface degrade` writes it too,
has a manifest of the same kind that names two files a clip.
"""

import hashlib
import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dvface.errors import UserError
from dvface.files import sha256, whole_file, write_text
from dvface.video.write import LOSSLESS, Encoding, encode

MANIFEST = "manifest.jsonl"
CLEAN = "clean.mp4"
DEGRADED = "degraded.mp4"
META = "meta.json"
LISTED = ("first_frame", "psnr", "record")
"""What the manifest repeats of a clip's meta, where it is there."""

SETTINGS = "degrade.json"
TESTSET = "testset.json"
REJECTED = "rejected.jsonl"
PREVIEW = "preview.png"
BESIDE = (MANIFEST, SETTINGS, TESTSET, REJECTED, PREVIEW)
"""Files of a data set that the manifest does not list."""

SIZES = ("frames", "height", "width")
PLACES = ("shard", "clean", "degraded")
NEEDED = ("shard", "shard_sha256", *SIZES, "degraded_stored")
"""What reading from shards takes from every line of a manifest, besides its key."""


@dataclass(frozen=True)
class Clip:
    """One clip on its way into a shard.

    Attributes:
        key: unique in the data set; letters, digits, ``_`` and ``-`` only, since WebDataset splits at dots.
        clean: (T, H, W, 3) uint8 RGB.
        rate: frames a second.
        degraded: the stored degraded side, the same shape, or None.
        meta: what else should be known of it (source, person, degradation record …), JSON.
    """

    key: str
    clean: np.ndarray
    rate: Fraction
    degraded: np.ndarray | None = None
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Shard:
    """A shard and what the manifest says of it.

    Attributes:
        address: its path, or its URL where the data set is not on this machine.
        sha256: of the tar file, 64 hexadecimal digits.
        keys: of its clips, in the order of the tar file.
    """

    address: str
    sha256: str
    keys: tuple[str, ...]


def write_shards(folder: str | Path, clips: Iterable[Clip], clips_per_shard: int) -> None:
    """Write ``clips`` as ``shard-00000.tar`` … and, last, the manifest: a folder with a manifest is complete.

    Raises:
        UserError: there is no clip at all.
    """
    folder = Path(folder)
    entries: list[dict[str, Any]] = []
    for number, group in enumerate(_chunks(clips, clips_per_shard)):
        entries += write_shard(folder / f"shard-{number:05d}.tar", group, LOSSLESS)
    if not entries:
        raise UserError(f"no clip to write into {folder}; check that the footage is long enough")
    write_manifest(folder, entries)


def _chunks(clips: Iterable[Clip], size: int) -> Iterator[Sequence[Clip]]:
    group: list[Clip] = []
    for clip in clips:
        group.append(clip)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def write_shard(path: Path, clips: Iterable[Clip], encoding: Encoding) -> list[dict[str, Any]]:
    """Write one tar under its final name only when whole; returns the manifest's entries of its clips.

    Args:
        path: the tar file.
        clips: taken one at a time.
        encoding: of both sides: `LOSSLESS` or `EXACT`.
    """
    entries: list[dict[str, Any]] = []

    def members() -> Iterator[tuple[str, bytes]]:
        for clip in clips:
            sides = encoded_sides(clip, encoding)
            meta = json.dumps({**clip.meta, "rate": str(clip.rate)}).encode()
            yield from ((f"{clip.key}.{part}", data) for part, data in {**sides, META: meta}.items())
            entries.append(manifest_entry(clip, {"shard": path.name}, sides))

    write_tar(path, members())
    digest = sha256(path)
    return [{**entry, "shard_sha256": digest} for entry in entries]


def write_tar(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write files into a tar that appears under its final name only when whole; the same members, the same bytes.

    Args:
        path: the tar file.
        members: name and content, taken one at a time.
    """
    # WebDataset's own writer would do, and would load PyTorch into every worker of `dvface degrade`.
    with whole_file(path) as temporary, tarfile.open(temporary, "w") as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)  # with a time of 0
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))


def encoded_sides(clip: Clip, encoding: Encoding) -> dict[str, bytes]:
    """The clip's clean and, where there is one, degraded side as mp4."""
    sides = {CLEAN: clip.clean, DEGRADED: clip.degraded}
    return {part: encode(frames, clip.rate, **encoding) for part, frames in sides.items() if frames is not None}


def manifest_entry(clip: Clip, places: Mapping[str, str], sides: Mapping[str, bytes]) -> dict[str, Any]:
    """What the manifest says of a clip.

    Args:
        clip: the clip; of its meta, what `LISTED` names is repeated.
        places: where the files lie.
        sides: the encoded sides, of which the SHA-256 is kept.
    """
    return video_entry(clip.key, clip.clean.shape[:3], clip.rate, places, sides, clip.meta)


def video_entry(
    key: str,
    shape: Sequence[int],
    rate: Fraction,
    places: Mapping[str, str],
    sides: Mapping[str, bytes],
    meta: Mapping[str, Any],
) -> dict[str, Any]:
    """`manifest_entry` of a clip that is not at hand as pixels, or has no clean side.

    Args:
        key: of the clip.
        shape: frames, height and width.
        rate: frames a second.
        places: where the files lie.
        sides: `CLEAN`, `DEGRADED` or both, encoded.
        meta: see `Clip`.
    """
    frames, height, width = shape
    return {
        "key": key,
        **places,
        **{f"{part.split('.')[0]}_sha256": hashlib.sha256(data).hexdigest() for part, data in sides.items()},
        "frames": frames,
        "height": height,
        "width": width,
        "rate": str(rate),
        "degraded_stored": DEGRADED in sides,
        "source": meta.get("source"),
        **{name: meta[name] for name in LISTED if name in meta},
    }


def write_manifest(folder: Path, entries: Iterable[Mapping[str, Any]]) -> None:
    """Write the manifest; it says that the data set is complete, so it must be written last."""
    lines = [json.dumps(entry, ensure_ascii=False, allow_nan=False) + "\n" for entry in entries]
    write_text(folder / MANIFEST, "".join(lines))


def read_manifest(folder: str | Path) -> list[dict[str, Any]]:
    """The manifest's lines.

    Raises:
        UserError: the folder does not exist or has no manifest; or see `parse_manifest`.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file() and (splits := [one for one in data_sets(folder) if one != Path(folder)]):
        names = " or ".join(str(one) for one in splits)
        raise UserError(f"{folder} is a prepared data set of several splits; give one of them: {names}")
    if not path.is_file():
        raise UserError(f"{folder} is no data set of shards: it has no {MANIFEST}; prepare it first")
    try:
        return parse_manifest(path.read_text(encoding="utf-8"), path)
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is damaged (it is no text: {error.reason}); prepare the data set again") from error


def parse_manifest(text: str, place: str | Path) -> list[dict[str, Any]]:
    """The lines of a manifest: each has a key; what else is there of what this module writes is of its kind.

    Args:
        text: of the file.
        place: where it lies, for messages.

    Raises:
        UserError: it is damaged, with the number of the line, or lists no clip.
    """
    entries = []
    for number, line in enumerate(text.split("\n"), start=1):  # splitlines() would split within texts too
        if line.strip():
            try:
                entries.append(_parse_line(line))
            except ValueError as error:
                raise UserError(f"{place} is damaged (line {number}: {error}); prepare the data set again") from error
    if not entries:
        raise UserError(f"{place} lists no clip; prepare the data set again")
    return entries


def _parse_line(line: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"it is no JSON, {error.msg} at column {error.colno}") from error
    if not isinstance(entry, dict):
        raise ValueError(f"{line.strip()[:40]} is no object with a key")
    if "key" not in entry:
        raise ValueError("it has no key")
    for name, value in entry.items():
        if name in ("key", *PLACES):
            right, kind = isinstance(value, str) and value != "", "text that is not empty"
        elif name in SIZES:
            right, kind = type(value) is int and value >= 1, "a whole number of 1 or more"  # True is an int too
        elif name in [f"{place}_sha256" for place in PLACES]:
            right = isinstance(value, str) and re.fullmatch("[0-9a-f]{64}", value) is not None
            kind = "64 hexadecimal digits in small letters"
        elif name == "degraded_stored":
            right, kind = isinstance(value, bool), "true or false"
        else:
            continue
        if not right:
            raise ValueError(f"{name} is {json.dumps(value, ensure_ascii=False)[:80]}, it must be {kind}")
    return entry


def shards_of(entries: Sequence[Mapping[str, Any]], place: str | Path) -> list[Shard]:
    """The shards that a manifest names, in order; their addresses are names within the data set.

    Args:
        entries: the manifest's lines.
        place: of the data set, for messages.

    Raises:
        UserError: the data set is one of videos, or a line lacks what reading from shards needs.
    """
    if not any("shard" in entry for entry in entries):
        raise UserError(
            f"{place} is a data set of videos and shards are asked; make them with dvface degrade format=shards"
        )
    keys: dict[tuple[str, str], list[str]] = {}
    for entry in entries:
        missing = [name for name in NEEDED if name not in entry]
        if missing:
            raise UserError(
                f"the manifest of {place} does not give {', '.join(missing)} of clip {entry['key']}; "
                "prepare the data set again"
            )
        keys.setdefault((entry["shard"], entry["shard_sha256"]), []).append(entry["key"])
    return [Shard(name, digest, tuple(clips)) for (name, digest), clips in keys.items()]


def shard_paths(folder: str | Path) -> list[Path]:
    """The shards that the manifest names, in order.

    Raises:
        UserError: see `read_manifest`; or a shard is missing, or the data set is one of videos.
    """
    folder = Path(folder)
    paths = [folder / shard.address for shard in shards_of(read_manifest(folder), folder)]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} is listed in the manifest and missing; prepare the data set again")
    return paths


def data_sets(folder: str | Path) -> list[Path]:
    """The data sets in ``folder``: itself, or where it has no manifest, those of its splits."""
    folder = Path(folder)
    splits = sorted(path.parent for path in folder.glob(f"*/{MANIFEST}"))
    return [folder] if (folder / MANIFEST).is_file() or not splits else splits


def verify(folder: str | Path) -> list[str]:
    """What is wrong with a data set of shards or videos, one sentence a fault; empty when all is well.

    Files that are missing, changed, or not in the manifest at all are faults.
    """
    folder = Path(folder)
    expected: dict[str, str | None] = {}
    for entry in read_manifest(folder):
        for place in PLACES:
            if place in entry:
                expected[entry[place]] = entry.get(f"{place}_sha256")
    faults = []
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif digest is None:
            faults.append(f"{name} has no SHA-256 in the manifest, so it cannot be checked")
        elif sha256(path) != digest:
            faults.append(f"{name} differs from what the manifest says was written")
    found = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return faults + [f"{name} is not in the manifest" for name in found if name not in {*expected, *BESIDE}]


def read_samples(shards: Iterable[Path]) -> Iterator[dict[str, Any]]:
    """The samples of ``shards`` in order: ``__key__`` and the encoded parts as bytes.

    Raises:
        UserError: a shard is no tar file or a sample has no clean side.
    """
    from webdataset.tariterators import tarfile_samples

    for path in shards:
        try:
            for sample in tarfile_samples([{"url": str(path)}]):
                if CLEAN not in sample:
                    raise UserError(f"sample {sample['__key__']} in {path} has no {CLEAN}; write the data set again")
                yield sample
        except tarfile.TarError as error:
            raise UserError(f"shard {path} is damaged ({error}); check with: dvface verify {path.parent}") from error
