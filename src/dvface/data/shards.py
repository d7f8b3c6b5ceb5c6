"""WebDataset shards of clips: written whole, listed in a manifest, verified against it.

A sample is ``KEY.clean.mp4`` (lossless H.264), ``KEY.meta.json`` and, where a degraded side is stored,
``KEY.degraded.mp4``. ``manifest.jsonl`` has one line a clip.
"""

import hashlib
import json
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dvface.errors import UserError
from dvface.files import sha256, whole_file, write_text
from dvface.video.write import LOSSLESS, encode

MANIFEST = "manifest.jsonl"
CLEAN = "clean.mp4"
DEGRADED = "degraded.mp4"
META = "meta.json"


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


def write_shards(folder: str | Path, clips: Iterable[Clip], clips_per_shard: int) -> None:
    """Write ``clips`` as ``shard-00000.tar`` … and, last, the manifest: a folder with a manifest is complete.

    Raises:
        UserError: there is no clip at all.
    """
    folder = Path(folder)
    lines: list[str] = []
    for number, group in enumerate(_chunks(clips, clips_per_shard)):
        name = f"shard-{number:05d}.tar"
        digests = _write_shard(folder / name, group)
        shard_digest = sha256(folder / name)
        for clip, digest in zip(group, digests, strict=True):
            frames, height, width, _ = clip.clean.shape
            entry = {
                "key": clip.key,
                "shard": name,
                "shard_sha256": shard_digest,
                "clean_sha256": digest,
                "frames": frames,
                "height": height,
                "width": width,
                "rate": str(clip.rate),
                "degraded_stored": clip.degraded is not None,
                "source": clip.meta.get("source"),
            }
            lines.append(json.dumps(entry, ensure_ascii=False))
    if not lines:
        raise UserError(f"no clip to write into {folder}; check that the footage is long enough")
    write_text(folder / MANIFEST, "\n".join(lines) + "\n")


def _chunks(clips: Iterable[Clip], size: int) -> Iterator[Sequence[Clip]]:
    group: list[Clip] = []
    for clip in clips:
        group.append(clip)
        if len(group) == size:
            yield group
            group = []
    if group:
        yield group


def _write_shard(path: Path, clips: Sequence[Clip]) -> list[str]:
    """Write one tar under its final name only when whole; returns the SHA-256 of each clean side."""
    import webdataset

    digests = []
    with whole_file(path) as temporary, webdataset.TarWriter(str(temporary), mtime=0) as tar:
        for clip in clips:
            clean = encode(clip.clean, clip.rate, **LOSSLESS)
            digests.append(hashlib.sha256(clean).hexdigest())
            sample: dict[str, Any] = {
                "__key__": clip.key,
                CLEAN: clean,
                META: json.dumps({**clip.meta, "rate": str(clip.rate)}).encode(),
            }
            if clip.degraded is not None:
                sample[DEGRADED] = encode(clip.degraded, clip.rate, **LOSSLESS)
            tar.write(sample)
    return digests


def read_manifest(folder: str | Path) -> list[dict[str, Any]]:
    """The manifest's lines.

    Raises:
        UserError: the folder does not exist or has no manifest, or lists no clip.
    """
    path = Path(folder) / MANIFEST
    if not path.is_file():
        raise UserError(f"{folder} is no data set of shards: it has no {MANIFEST}; prepare it first")
    try:
        entries = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged ({error}); prepare the data set again") from error
    if not entries:
        raise UserError(f"{path} lists no clip; prepare the data set again")
    return entries


def shard_paths(folder: str | Path) -> list[Path]:
    """The shards that the manifest names, in order.

    Raises:
        UserError: see `read_manifest`; or a shard is missing.
    """
    folder = Path(folder)
    paths = [folder / name for name in dict.fromkeys(entry["shard"] for entry in read_manifest(folder))]
    for path in paths:
        if not path.is_file():
            raise UserError(f"{path} is listed in the manifest and missing; prepare the data set again")
    return paths


def verify(folder: str | Path) -> list[str]:
    """What is wrong with a data set, one sentence a fault: missing or changed shards. Empty when all is well."""
    folder = Path(folder)
    expected = {entry["shard"]: entry["shard_sha256"] for entry in read_manifest(folder)}
    faults = []
    for name, digest in expected.items():
        path = folder / name
        if not path.is_file():
            faults.append(f"{name} is missing")
        elif sha256(path) != digest:
            faults.append(f"{name} differs from what the manifest says was written")
    return faults


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
