"""Single clips out of shards: which bytes of a tar file are which part of which clip."""

import re
import tarfile
from collections import OrderedDict
from typing import BinaryIO

from dvface.data.addresses import shown
from dvface.data.remote import ShardCache, unreadable
from dvface.data.shards import Shard

NAME = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)")
"""WebDataset's rule: a file's key ends at the first dot of its name, what follows names the part."""
REMEMBERED = 64
"""Shards whose directories are kept; a shuffle buffer reaches back over a few."""

Extent = tuple[int, int]
"""Where a file begins within a tar file, and its size, in bytes."""


class Directory:
    """What a shard holds.

    Attributes:
        clips: key to part to where it lies.
        fault: what stopped the reading of the tar's headers; empty where they were read to the end.
    """

    def __init__(self, clips: dict[str, dict[str, Extent]], fault: str) -> None:
        self.clips = clips
        self.fault = fault


class ShardReader:
    """Reads clips from shards in any order.

    The directory of a tar file is read once, header by header, which skips over what the files hold.

    Args:
        cache: gives shards as files on this machine.
    """

    def __init__(self, cache: ShardCache) -> None:
        self.cache = cache
        self._directories: OrderedDict[str, Directory] = OrderedDict()

    def read(self, shard: Shard, key: str) -> dict[str, bytes]:
        """The encoded parts of a clip, by name, such as ``clean.mp4``.

        Raises:
            ValueError: the shard cannot be had, is damaged, or lacks the clip.
            UserError: this machine is at fault, as when its disk is full.
        """
        with self.cache.open(shard) as file:
            try:
                return self._read(file, shard, key)
            except OSError as error:
                raise unreadable(shard.address, error) from error

    def _read(self, file: BinaryIO, shard: Shard, key: str) -> dict[str, bytes]:
        directory = self._directories.get(shard.address)
        if directory is None:
            directory = self._directories[shard.address] = read_directory(file)
            if len(self._directories) > REMEMBERED:
                self._directories.popitem(last=False)
        self._directories.move_to_end(shard.address)
        if key not in directory.clips:
            reason = f"is damaged ({directory.fault})" if directory.fault else "does not hold it"
            raise ValueError(f"shard {shown(shard.address)} {reason}")
        parts = {}
        for part, (start, size) in directory.clips[key].items():
            file.seek(start)
            parts[part] = file.read(size)
            if len(parts[part]) < size:
                raise ValueError(f"shard {shown(shard.address)} is cut short")
        return parts


def read_directory(file: BinaryIO) -> Directory:
    """Where everything lies in an open tar file; of a damaged one, what comes before the damage."""
    clips: dict[str, dict[str, Extent]] = {}
    fault = ""
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            for member in tar:
                match = NAME.fullmatch(member.name)
                if member.isfile() and match:
                    clips.setdefault(match[1], {})[match[2]] = (member.offset_data, member.size)
    except (tarfile.TarError, EOFError) as error:
        fault = str(error)
    return Directory(clips, fault)
