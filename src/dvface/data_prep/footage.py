"""Which kind of footage a path holds."""

from pathlib import Path

from dvface.data.shards import MANIFEST, read_manifest
from dvface.data_prep.clean_shards import ShardFootage
from dvface.data_prep.plan import Footage
from dvface.data_prep.videos import VideoFootage
from dvface.errors import UserError


def open_footage(root: Path) -> Footage:
    """The footage below ``root``: a folder with a manifest is one of shards, all else are videos.

    Raises:
        UserError: it does not exist or holds no footage.
    """
    if not root.exists():
        raise UserError(f"input={root} does not exist; correct the path")
    if not (root / MANIFEST).is_file():
        return VideoFootage(root)
    if not all("shard" in entry for entry in read_manifest(root)):
        raise UserError(f"input={root} is a data set of videos with two sides; give its clean side: input={root}/clean")
    return ShardFootage(root)
