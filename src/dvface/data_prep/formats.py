"""How pairs lie on the disk: two folders of videos, or shards."""

from collections.abc import Iterable, Mapping
from itertools import chain
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

from dvface.data.shards import CLEAN, DEGRADED, Clip, encoded_sides, manifest_entry, write_shard
from dvface.files import whole_file
from dvface.video.write import EXACT


class Format(Protocol):
    """Writes the pairs of one unit.

    Attributes:
        mixed: whether pairs of several videos may be in one unit.
    """

    mixed: bool

    def write(self, folder: Path, unit: str, clips: Iterable[Clip]) -> list[dict[str, Any]]:
        """Write the files of a unit, each under its name only when whole; returns the manifest's entries.

        Args:
            folder: the data set.
            unit: the unit's name.
            clips: both sides of its pairs, taken one at a time.
        """
        ...


class VideoFiles:
    """``clean/KEY.mp4`` and ``degraded/KEY.mp4``."""

    mixed = False

    def write(self, folder: Path, unit: str, clips: Iterable[Clip]) -> list[dict[str, Any]]:
        """See `Format.write`."""
        entries = []
        for clip in clips:
            sides = encoded_sides(clip, EXACT)
            places = {"clean": f"clean/{clip.key}.mp4", "degraded": f"degraded/{clip.key}.mp4"}
            for place, part in (("clean", CLEAN), ("degraded", DEGRADED)):
                with whole_file(folder / places[place]) as temporary:
                    temporary.write_bytes(sides[part])
            entries.append(manifest_entry(clip, places, sides))
        return entries


class ShardFiles:
    """``UNIT.tar`` with ``KEY.clean.mp4``, ``KEY.degraded.mp4`` and ``KEY.meta.json``, as training reads them."""

    mixed = True

    def write(self, folder: Path, unit: str, clips: Iterable[Clip]) -> list[dict[str, Any]]:
        """See `Format.write`; a unit without any clip gives no shard."""
        clips = iter(clips)
        first = next(clips, None)
        return [] if first is None else write_shard(folder / f"{unit}.tar", chain([first], clips), EXACT)


FORMATS: Mapping[str, Format] = MappingProxyType({"videos": VideoFiles(), "shards": ShardFiles()})
"""By the words of ``format=``."""
