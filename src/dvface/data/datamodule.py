"""Shards to batches, for Lightning."""

from pathlib import Path
from typing import Protocol

import numpy as np
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from dvface.data.pairing import Degradation, Pairs
from dvface.data.pairs import VideoPair
from dvface.data.shards import read_manifest, shard_paths
from dvface.data.stream import ClipStream, Pair, check_dealing, collate, to_tensor
from dvface.errors import UserError


class Source(Protocol):
    """Where clips come from.

    Attributes:
        pairs: how a training pair is made of a stored clip.
    """

    pairs: Pairs

    def prepare(self) -> Path:
        """Make the training shards if they are not there yet; returns their folder."""
        ...

    def held_out(self) -> list[VideoPair]:
        """Degraded and clean videos for measuring; no measured frame is trained on."""
        ...


def check_clips(folder: Path, frames: int, crop: int, processes: int, workers: int) -> None:
    """Refuse, by the manifest alone, training clips that are too short or small, or too few shards.

    Raises:
        UserError: one sentence that names the first such clip and the setting.
    """
    entries = read_manifest(folder)
    for entry in entries:
        if entry["frames"] < frames:
            raise UserError(
                f"clip {entry['key']} in {folder} has {entry['frames']} frames, {frames} are asked; "
                "lower stages.*.frames or write longer clips"
            )
        if min(entry["height"], entry["width"]) < crop:
            raise UserError(
                f"clip {entry['key']} in {folder} is {entry['width']}×{entry['height']}, a crop of {crop} is asked; "
                "lower stages.*.crop or write larger clips"
            )
    check_dealing(len(shard_paths(folder)), processes, workers)


class HeldOutClips(Dataset[Pair]):
    """The beginning and the middle of each held-out pair, for watching the loss during training.

    Args:
        pairs: held-out videos.
        frames: at most so many frames of each; of a shorter one, the ``temporal_stride``·k+1 that it has.
        multiple: height and width are cut to a multiple of this.
        temporal_stride: the autoencoder's.
    """

    def __init__(self, pairs: list[VideoPair], frames: int, multiple: int, temporal_stride: int) -> None:
        self.pairs = pairs
        self.frames = frames
        self.multiple = multiple
        self.temporal_stride = temporal_stride

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        """One pair."""
        pair = self.pairs[index]
        return Pair(clean=to_tensor(self._cut(pair.clean)), degraded=to_tensor(self._cut(pair.degraded)), key=pair.name)

    def _cut(self, video: np.ndarray) -> np.ndarray:
        frames = (min(self.frames, len(video)) - 1) // self.temporal_stride * self.temporal_stride + 1
        height, width = (size // self.multiple * self.multiple for size in video.shape[1:3])
        top, left = (video.shape[1] - height) // 2, (video.shape[2] - width) // 2
        return video[:frames, top : top + height, left : left + width]


class ClipDataModule(LightningDataModule):
    """Streams degraded/clean pairs; a resumed trainer gets the batches that it has not seen yet.

    Args:
        source: gives training shards and held-out pairs.
        degradation: the recipe for the training pairs.
        frames: T of the training pairs.
        crop: height and width of the training pairs.
        context: pixels around the crop that are degraded with it, see `ClipStream`.
        batch_size: pairs a batch and process.
        workers: loader processes for each training process; 0 loads in the training process itself.
        buffer: samples held for shuffling.
        seed: the run's seed.
        multiple: what the model needs height and width to be a multiple of.
        temporal_stride: the autoencoder's.
    """

    def __init__(
        self,
        source: Source,
        degradation: Degradation,
        frames: int,
        crop: int,
        context: int,
        batch_size: int,
        workers: int,
        buffer: int,
        seed: int,
        multiple: int,
        temporal_stride: int,
    ) -> None:
        super().__init__()
        self.multiple = multiple
        self.temporal_stride = temporal_stride
        self.source = source
        self.degradation = degradation
        self.frames = frames
        self.crop = crop
        self.context = context
        self.batch_size = batch_size
        self.workers = workers
        self.buffer = buffer
        self.seed = seed

    def prepare_data(self) -> None:
        """Make the shards, on one process only."""
        self.source.prepare()

    def train_dataloader(self) -> DataLoader[Pair]:
        """Batches from where the trainer stands: its global step is restored before this is called."""
        stream = ClipStream(
            shards=shard_paths(self.source.prepare()),
            degradation=self.degradation,
            pairs=self.source.pairs,
            frames=self.frames,
            crop=self.crop,
            context=self.context,
            batch_size=self.batch_size,
            buffer=self.buffer,
            seed=self.seed,
            rank=self.trainer.global_rank if self.trainer else 0,
            world_size=self.trainer.world_size if self.trainer else 1,
            workers=self.workers,
            skip_batches=self.trainer.global_step * self.trainer.accumulate_grad_batches if self.trainer else 0,
        )
        return DataLoader(stream, batch_size=self.batch_size, num_workers=self.workers, collate_fn=collate)

    def val_dataloader(self) -> DataLoader[Pair]:
        """The first set of held-out clips, one a batch, since their sizes may differ."""
        pairs = self.source.held_out()
        first = [pair for pair in pairs if pair.name == pairs[0].name]
        clips = HeldOutClips(first, self.frames, self.multiple, self.temporal_stride)
        return DataLoader(clips, batch_size=1, collate_fn=collate)
