"""Data sets of shards as training sees them: what the manifest says, here or behind a URL."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dvface.data.addresses import check_address, is_remote, join, local_path
from dvface.data.fetching import read_remote_text
from dvface.data.pairing import Pairs
from dvface.data.shards import MANIFEST, Shard, parse_manifest, read_manifest, shard_paths, shards_of
from dvface.errors import UserError
from dvface.files import sha256, text_sha256


@dataclass(frozen=True)
class TrainingSet:
    """Clips to train on.

    Attributes:
        name: tells it from the others of a mixture; empty where it is the only one.
        address: the folder or URL that it was read from.
        shards: its shards.
        entries: the lines of its manifest.
        pairs: how a training pair is made of a stored clip.
        weight: its share of the batches, against the others' weights.
        frames: T of its pairs; None for what the stage asks, 1 for stills.
    """

    name: str
    address: str
    shards: tuple[Shard, ...]
    entries: Sequence[Mapping[str, Any]]
    pairs: Pairs
    weight: float = 1.0
    frames: int | None = None

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 of all that the order of clips depends on; where the files lie is no part of it."""
        shards = sorted((shard.sha256, shard.keys) for shard in self.shards)
        return text_sha256(json.dumps([self.name, self.weight, self.frames, shards]))


def read_entries(address: str) -> list[dict[str, Any]]:
    """The manifest of a data set, here or behind a URL.

    Raises:
        UserError: there is none, or it is damaged, or the address cannot be used.
    """
    check_address(address)
    if not is_remote(address):
        return read_manifest(local_path(address))
    place = join(address, MANIFEST)
    return parse_manifest(read_remote_text(place), place)


def manifest_sha256(address: str) -> str:
    """SHA-256 of a data set's manifest, which lists that of every shard, as ``sha256sum`` prints it.

    Raises:
        UserError: see `read_entries`.
    """
    check_address(address)
    if not is_remote(address):
        read_entries(address)  # says in one sentence what is wrong
        return sha256(local_path(address) / MANIFEST)
    return text_sha256(read_remote_text(join(address, MANIFEST)))


def draws_sha256(entries: Sequence[Mapping[str, Any]]) -> str:
    """SHA-256 of which clips a degraded data set holds and what was drawn for each, whoever made it.

    Two machines that prepare and degrade the same footage by the same words agree in this, and mostly not in
    `manifest_sha256`: the last bits of an aligned crop depend on the processor, those of a codec on its version.
    """
    plain = [
        [*(entry.get(name) for name in ("key", "frames", "height", "width")), _without_encoders(entry.get("record"))]
        for entry in entries
    ]
    return text_sha256(json.dumps(sorted(plain, key=lambda clip: str(clip[0])), sort_keys=True))


def _without_encoders(record: Any) -> Any:
    if isinstance(record, Mapping):
        return {key: _without_encoders(value) for key, value in record.items() if key != "encoder"}
    return [_without_encoders(value) for value in record] if isinstance(record, list) else record


def read_set(address: str, pairs: Pairs, name: str = "", weight: float = 1.0, frames: int | None = None) -> TrainingSet:
    """A data set of shards, checked as far as its manifest tells.

    Args:
        address: a folder, or a URL that fsspec understands.
        pairs: see `TrainingSet`.
        name: see `TrainingSet`.
        weight: see `TrainingSet`.
        frames: see `TrainingSet`.

    Raises:
        UserError: see `read_entries`; or a shard is missing, or a clip does not suit ``pairs``.
    """
    entries = read_entries(address)
    if not is_remote(address):
        shard_paths(local_path(address))
    shards = tuple(
        Shard(join(address, shard.address), shard.sha256, shard.keys) for shard in shards_of(entries, address)
    )
    pairs.check(entries)
    return TrainingSet(name, address, shards, entries, pairs, weight, frames)


def check_sets(sets: Sequence[TrainingSet], frames: int, crop: int, processes: int, workers: int) -> None:
    """Refuse, by the manifests alone, training clips that are too short or small, or too few shards.

    Raises:
        UserError: one sentence that names the first such clip and the setting.
    """
    for one in sets:
        wanted = one.frames or frames
        for entry in one.entries:
            if entry["frames"] < wanted:
                raise UserError(
                    f"clip {entry['key']} in {one.address} has {entry['frames']} frames, {wanted} are asked; "
                    "lower stages.*.frames or write longer clips"
                )
            if min(entry["height"], entry["width"]) < crop:
                raise UserError(
                    f"clip {entry['key']} in {one.address} is {entry['width']}×{entry['height']}, a crop of {crop} is "
                    "asked; lower stages.*.crop or write larger clips"
                )
        check_dealing(one, processes, workers)


def check_dealing(one: TrainingSet, world_size: int, workers: int) -> None:
    """Refuse more readers than shards: some would have nothing to read.

    Raises:
        UserError: there are fewer shards than processes × workers.
    """
    readers = world_size * max(1, workers)
    if len(one.shards) < readers:
        raise UserError(
            f"the {len(one.shards)} shards of {one.address} cannot be dealt to {world_size} processes × "
            f"{max(1, workers)} workers; write at least {readers} shards or lower data.workers"
        )
