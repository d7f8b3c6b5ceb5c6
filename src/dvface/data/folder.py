"""Shards of one's own, in folders of this machine or behind URLs."""

import json
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from dvface.data.pairing import FreshCrops, Pairs
from dvface.data.pairs import VideoPair
from dvface.data.reading import ShardReader
from dvface.data.remote import ShardCache
from dvface.data.sets import TrainingSet, manifest_sha256, read_entries, read_set
from dvface.data.shards import CLEAN, DEGRADED, META, Shard
from dvface.errors import UserError
from dvface.video.decode import PyAVReader


class ShardFolders:
    """Training shards and held-out shards with a stored degraded side.

    Args:
        train: folder or URL of a data set with a manifest and shards, see `dvface.data.shards`.
        held_out: the same, every clip with ``degraded.mp4``.
        cache: gives shards as files on this machine.
        pairs: how a training pair is made of a stored clip; None degrades fresh crops in every epoch.
        most_held_out: see `HeldOutShards`.
    """

    def __init__(
        self,
        train: str,
        held_out: str,
        cache: ShardCache,
        pairs: Pairs | None = None,
        most_held_out: int | None = None,
    ) -> None:
        self.train = train
        self.held_out_shards = HeldOutShards(held_out, cache, most_held_out)
        self.pairs: Pairs = pairs or FreshCrops()

    def training(self) -> list[TrainingSet]:
        """The training set; both data sets are checked as far as their manifests tell.

        Raises:
            UserError: a data set has no manifest, no clip, or a shard is missing, or a clip does not suit ``pairs``.
        """
        self.held_out_shards.check()
        return [read_set(self.train, self.pairs)]

    def held_out(self) -> list[VideoPair]:
        """Every held-out clip.

        Raises:
            UserError: see `training`; or a clip has no stored degraded side.
        """
        return self.held_out_shards.read()

    def manifests(self) -> dict[str, str]:
        """Digests of ``train`` and ``held_out``, see `dvface.data.sets.manifest_sha256`."""
        return {"train": manifest_sha256(self.train), "held_out": self.held_out_shards.digest()}


class Part:
    """One of the data sets of a mixture.

    Args:
        train: folder or URL of a data set of shards.
        weight: its share of the batches, against the other parts' weights.
        pairs: see `ShardFolders`.
        frames: T of its clips; 1 makes stills of them, whatever they are, and null is what the stage asks.
    """

    def __init__(self, train: str, weight: float, pairs: Pairs | None = None, frames: int | None = None) -> None:
        if weight <= 0:
            raise ValueError(f"weight={weight}: give a number above 0, or leave the data set out")
        if frames is not None and frames < 1:
            raise ValueError(f"frames={frames}: give 1 or more")
        self.train = train
        self.weight = weight
        self.pairs: Pairs = pairs or FreshCrops()
        self.frames = frames


class MixedFolders:
    """Several training sets by weight, and held-out shards.

    Every batch is of one data set; which one is drawn by weight.

    Args:
        parts: the training sets by name; null leaves one out.
        held_out: see `ShardFolders`.
        cache: see `ShardFolders`.
        most_held_out: see `HeldOutShards`.
    """

    def __init__(
        self,
        parts: Mapping[str, Part | None],
        held_out: str,
        cache: ShardCache,
        most_held_out: int | None = None,
    ) -> None:
        if not isinstance(parts, Mapping):
            raise ValueError(f"data.source.parts={parts}: give data sets by name, as data=mixed has them")
        for name, part in parts.items():
            if part is not None and not isinstance(part, Part):
                raise ValueError(
                    f"data.source.parts.{name}={part}: a part is a {Part.__module__}.Part, or null, which leaves it "
                    f"out; give data.source.parts.{name}.train=FOLDER for one that data=mixed has"
                )
        self.parts = {name: part for name, part in parts.items() if part is not None}
        if not self.parts:
            raise ValueError("data.source.parts: a mixture needs at least one data set, and none is left; give one")
        self.held_out_shards = HeldOutShards(held_out, cache, most_held_out)

    def training(self) -> list[TrainingSet]:
        """The training sets; all data sets are checked as far as their manifests tell.

        Raises:
            UserError: see `ShardFolders.training`.
        """
        self.held_out_shards.check()
        return [read_set(part.train, part.pairs, name, part.weight, part.frames) for name, part in self.parts.items()]

    def held_out(self) -> list[VideoPair]:
        """Every held-out clip.

        Raises:
            UserError: see `ShardFolders.held_out`.
        """
        return self.held_out_shards.read()

    def manifests(self) -> dict[str, str]:
        """Digests of ``train/PART`` for each part, and of ``held_out``."""
        parts = {f"train/{name}": manifest_sha256(part.train) for name, part in self.parts.items()}
        return {**parts, "held_out": self.held_out_shards.digest()}


class HeldOutShards:
    """Held-out clips with a stored degraded side.

    Args:
        address: folder or URL of a data set of shards.
        cache: gives shards as files on this machine.
        clips: take so many, evenly spaced in the order of their keys, where the set has more; null takes all.

    Raises:
        ValueError: ``clips`` is below 1.
    """

    def __init__(self, address: str, cache: ShardCache, clips: int | None = None) -> None:
        if clips is not None and clips < 1:
            raise ValueError(f"most_held_out={clips}: give 1 or more, or null for all")
        self.address = address
        self.cache = cache
        self.clips = clips

    def check(self) -> TrainingSet:
        """The data set, checked as far as its manifest tells.

        Raises:
            UserError: it has no manifest, no clip, or a shard is missing, or a clip has no stored degraded side.
        """
        found = read_set(self.address, FreshCrops())
        for entry in found.entries:
            if not entry["degraded_stored"]:
                raise UserError(_undegraded(entry["key"], self.address))
        return found

    def digest(self) -> str:
        """SHA-256 of the manifest; with ``:N`` behind it where only N of its clips are taken."""
        digest = manifest_sha256(self.address)
        if self.clips is None or self.clips >= len(read_entries(self.address)):
            return digest
        return f"{digest}:{self.clips}"

    def read(self) -> list[VideoPair]:
        """The clips, whole.

        Raises:
            UserError: see `check`; or a shard cannot be had, or a clip is damaged or lacks a side.
        """
        reader = ShardReader(self.cache)
        found = [(shard, key) for shard in self.check().shards for key in shard.keys]
        if self.clips is not None and self.clips < len(found):
            ordered = sorted(found, key=lambda one: one[1])
            found = [ordered[place * len(ordered) // self.clips] for place in range(self.clips)]
        return [self._pair(reader, shard, key) for shard, key in found]

    def _pair(self, reader: ShardReader, shard: Shard, key: str) -> VideoPair:
        try:
            sample = reader.read(shard, key)
            if DEGRADED not in sample:
                raise UserError(_undegraded(key, self.address))
            for part in (CLEAN, META):
                if part not in sample:
                    raise ValueError(f"it has no {part}")
            clean, degraded = (PyAVReader(sample[part]) for part in (CLEAN, DEGRADED))
            return VideoPair(
                name="held_out",
                clip=key,
                degraded=degraded.read(0, len(degraded)),
                clean=clean.read(0, len(clean)),
                rate=_rate(sample[META]),
            )
        except ValueError as error:
            raise UserError(
                f"held_out={self.address}: clip {key} cannot be used: {error}; write the data set again"
            ) from error


def _rate(meta: bytes) -> Fraction:
    try:
        rate = Fraction(json.loads(meta)["rate"])
    except (KeyError, TypeError, ZeroDivisionError) as error:
        raise ValueError(f"its {META} gives no rate") from error
    return rate


def _undegraded(key: str, folder: str | Path) -> str:
    return (
        f"clip {key} in held_out={folder} has no stored degraded side; make one with: "
        f"dvface degrade input={folder} output=FOLDER format=shards, and give that"
    )
