"""Shards of one's own."""

import json
from fractions import Fraction
from pathlib import Path

from dvface.data.pairing import FreshCrops, Pairs
from dvface.data.pairs import VideoPair
from dvface.data.shards import CLEAN, DEGRADED, META, read_manifest, read_samples, shard_paths
from dvface.errors import UserError
from dvface.video.decode import PyAVReader


class ShardFolders:
    """A folder of training shards and one of held-out shards with a stored degraded side.

    Args:
        train: folder with a manifest and shards, see `dvface.data.shards`.
        held_out: the same, every clip with ``degraded.mp4``.
        pairs: how a training pair is made of a stored clip; None degrades fresh crops in every epoch.
    """

    def __init__(self, train: str, held_out: str, pairs: Pairs | None = None) -> None:
        self.train = Path(train)
        self.held_out_folder = Path(held_out)
        self.pairs: Pairs = pairs or FreshCrops()

    def prepare(self) -> Path:
        """The training folder; both folders are checked.

        Raises:
            UserError: the folder has no manifest, no clip, or a shard is missing, or a clip does not suit ``pairs``.
        """
        shard_paths(self.train)
        self.pairs.check(read_manifest(self.train))
        shard_paths(self.held_out_folder)
        for entry in read_manifest(self.held_out_folder):
            if not entry["degraded_stored"]:
                raise UserError(_undegraded(entry["key"], self.held_out_folder))
        return self.train

    def held_out(self) -> list[VideoPair]:
        """Every held-out clip.

        Raises:
            UserError: see `prepare`; or a clip has no stored degraded side.
        """
        pairs = []
        for sample in read_samples(shard_paths(self.held_out_folder)):
            if DEGRADED not in sample:
                raise UserError(_undegraded(sample["__key__"], self.held_out_folder))
            clean, degraded = (PyAVReader(sample[part]) for part in (CLEAN, DEGRADED))
            pairs.append(
                VideoPair(
                    name="held_out",
                    degraded=degraded.read(0, len(degraded)),
                    clean=clean.read(0, len(clean)),
                    rate=Fraction(json.loads(sample[META])["rate"]),
                )
            )
        return pairs


def _undegraded(key: str, folder: Path) -> str:
    return (
        f"clip {key} in held_out={folder} has no stored degraded side; make one with: "
        f"dvface degrade input={folder} output=FOLDER format=shards, and give that"
    )
