"""Shards to batches, for Lightning."""

from pathlib import Path
from typing import Protocol

from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset

from dvface.data.pairs import VideoPair
from dvface.data.shards import shard_paths
from dvface.data.stream import ClipStream, Degradation, Pair, collate, to_tensor


class Source(Protocol):
    """Where clips come from."""

    def prepare(self) -> Path:
        """Make the training shards if they are not there yet; returns their folder."""
        ...

    def held_out(self) -> list[VideoPair]:
        """Degraded and clean videos for measuring; no frame of them is trained on."""
        ...


class HeldOutClips(Dataset[Pair]):
    """The first ``frames`` frames of each held-out pair, whole, for watching the loss during training."""

    def __init__(self, pairs: list[VideoPair], frames: int) -> None:
        self.pairs = pairs
        self.frames = frames

    def __len__(self) -> int:
        """Number of pairs."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> Pair:
        """One pair."""
        pair = self.pairs[index]
        return Pair(
            clean=to_tensor(pair.clean[: self.frames]),
            degraded=to_tensor(pair.degraded[: self.frames]),
            key=pair.name,
        )


class ClipDataModule(LightningDataModule):
    """Streams degraded/clean pairs; a resumed trainer gets the batches that it has not seen yet.

    Args:
        source: gives training shards and held-out pairs.
        degradation: the recipe for the training pairs.
        frames: T of the training pairs, 4k+1.
        crop: height and width of the training pairs.
        batch_size: pairs a batch and process.
        workers: loader processes for each training process; 0 loads in the training process itself.
        buffer: samples held for shuffling.
        seed: the run's seed.
    """

    def __init__(
        self,
        source: Source,
        degradation: Degradation,
        frames: int,
        crop: int,
        batch_size: int,
        workers: int,
        buffer: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.source = source
        self.degradation = degradation
        self.frames = frames
        self.crop = crop
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
            frames=self.frames,
            crop=self.crop,
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
        """The held-out clips, one a batch, since their sizes may differ."""
        return DataLoader(HeldOutClips(self.source.held_out(), self.frames), batch_size=1, collate_fn=collate)
