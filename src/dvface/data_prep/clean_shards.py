"""Footage in shards with a manifest."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from dvface.data.pairing import read_whole
from dvface.data.shards import CLEAN, MANIFEST, META, read_manifest, read_samples, shard_paths
from dvface.data_prep.plan import CleanClip, Cutting, Plan, Rejection, clip_key, starts, too_short
from dvface.errors import UserError
from dvface.files import sha256
from dvface.video.decode import open_clip


@dataclass(frozen=True)
class ShardUnit:
    """All clips of one shard, in its order."""

    path: Path
    count: int
    cutting: Cutting

    @property
    def name(self) -> str:
        """The shard's."""
        return self.path.stem

    def read(self) -> Iterator[CleanClip | Rejection]:
        """See `Unit.read`."""
        try:
            for sample in read_samples([self.path]):
                yield from self._clips(sample)
        except UserError as error:
            yield Rejection(self.path.name, str(error))

    def _clips(self, sample: Mapping[str, Any]) -> Iterator[CleanClip | Rejection]:
        key, source = sample["__key__"], f"{self.path.name}/{sample['__key__']}"
        try:
            meta = json.loads(sample[META])
            rate = Fraction(meta.pop("rate"))
            frames = read_whole(open_clip(sample[CLEAN]))
        except KeyError as error:
            yield Rejection(source, f"lacks {error.args[0]}")
            return
        except ValueError as error:
            yield Rejection(source, str(error))
            return
        firsts, _ = starts(len(frames), self.cutting)
        if not firsts:
            yield Rejection(source, too_short(len(frames), self.cutting))
        for start in firsts:
            first = start or 0
            known = {"source": source, **meta, "first_frame": meta.get("first_frame", 0) + first}
            stop = None if self.cutting.frames is None else first + self.cutting.frames
            yield CleanClip(clip_key(key, start), frames[first:stop], rate, known)


class ShardFootage:
    """A folder of shards; their degraded sides, where there are any, are not looked at.

    A data set made of it has the same shards with the same clips in the same order, so that training passes
    over both in step.

    Args:
        root: the folder.

    Raises:
        UserError: it is no data set of shards, or two of its clips have one key.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shards = shard_paths(root)
        self.entries = read_manifest(root)

    def statement(self) -> dict[str, Any]:
        """See `Footage.statement`: the manifest, which has the checksum of every shard."""
        return {"kind": "shards", "count": len(self.entries), "manifest_sha256": sha256(self.root / MANIFEST)}

    def plan(self, cutting: Cutting, known: Mapping[str, Any] | None) -> tuple[Plan, dict[str, Any]]:
        """See `Footage.plan`; nothing needs to be remembered."""
        clips: Counter[str] = Counter()
        keys: Counter[str] = Counter()
        left_out, largest = 0, ("", 0)
        for entry in self.entries:
            firsts, rest = starts(entry["frames"], cutting)
            keys.update(clip_key(entry["key"], start) for start in firsts)
            clips[entry["shard"]] += len(firsts)
            if firsts:
                left_out += rest
                values = (cutting.frames or entry["frames"]) * entry["height"] * entry["width"] * 3
                largest = max(largest, (entry["key"], values), key=lambda pair: pair[1])
        twice = [key for key, count in keys.items() if count > 1]
        if twice:
            raise UserError(f"two clips of input={self.root} would both be {twice[0]}; rename one")
        units = [ShardUnit(path.absolute(), clips[path.name], cutting) for path in sorted(self.shards)]
        return Plan(units, (), left_out, largest), {}

    def excerpt(self, frames: int) -> np.ndarray:
        """See `Footage.excerpt`."""
        sample = next(read_samples(self.shards))
        try:
            reader = open_clip(sample[CLEAN])
            length = min(frames, len(reader))
            return reader.read((len(reader) - length) // 2, length)
        except ValueError as error:
            raise UserError(f"clip {sample['__key__']} of input={self.root} cannot be read: {error}") from error
