"""Shards to batches, for Lightning."""

import signal
from collections.abc import Iterator, Mapping, Sequence
from itertools import repeat
from typing import Any, Protocol

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from torch.utils.data import DataLoader, Dataset, IterableDataset

from dvface.contracts import ClipBatch, StreamNote
from dvface.data.pairing import Degradation
from dvface.data.pairs import VideoPair
from dvface.data.remote import ShardCache
from dvface.data.sets import TrainingSet
from dvface.data.stream import ClipStream, LoadedBatch, Pair, Standing, collate
from dvface.errors import UserError
from dvface.files import text_sha256


class Source(Protocol):
    """Where clips come from."""

    def training(self) -> list[TrainingSet]:
        """The data sets to train on, made if they are not there yet, checked as far as their manifests tell."""
        ...

    def held_out(self) -> list[VideoPair]:
        """Degraded and clean videos for measuring; no measured frame is trained on."""
        ...

    def manifests(self) -> dict[str, str]:
        """Data set to what tells its content from any other's: ``train`` or ``train/PART``, then each held-out set."""
        ...


class HeldOutClips(Dataset[Pair]):
    """The beginning and the middle of each held-out pair, for watching the loss during training.

    Clips are dealt to processes in turn. Where they do not come out even, a process repeats one that counts for
    nothing, so that all do equally many.

    Args:
        pairs: held-out videos.
        frames: at most so many frames of each; of a shorter one, the ``temporal_stride``·k+1 that it has.
        multiple: height and width are cut to a multiple of this.
        temporal_stride: the autoencoder's.
        rank: this process.
        world_size: number of processes.
    """

    def __init__(
        self,
        pairs: list[VideoPair],
        frames: int,
        multiple: int,
        temporal_stride: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.pairs = pairs
        self.frames = frames
        self.multiple = multiple
        self.temporal_stride = temporal_stride
        self.rank = rank
        self.world_size = world_size

    def __len__(self) -> int:
        """Number of clips for this process, those that count for nothing included."""
        return -(-len(self.pairs) // self.world_size)

    def __getitem__(self, index: int) -> Pair:
        """One pair."""
        place = index * self.world_size + self.rank
        pair = self.pairs[place % len(self.pairs)]
        return Pair(
            clean=self._cut(pair.clean),
            degraded=self._cut(pair.degraded),
            key=pair.name,
            padding=place >= len(self.pairs),
        )

    def _cut(self, video: np.ndarray) -> np.ndarray:
        frames = (min(self.frames, len(video)) - 1) // self.temporal_stride * self.temporal_stride + 1
        height, width = (size // self.multiple * self.multiple for size in video.shape[1:3])
        top, left = (video.shape[1] - height) // 2, (video.shape[2] - width) // 2
        return video[:frames, top : top + height, left : left + width]


class OneBatch(IterableDataset[LoadedBatch]):
    """The first batch of a stream, again and again.

    Args:
        stream: where it is taken from.
    """

    def __init__(self, stream: ClipStream) -> None:
        self.stream = stream

    def __iter__(self) -> Iterator[LoadedBatch]:
        """The batch, for ever."""
        first = iter(self.stream)
        yield from repeat(collate([next(first) for _ in range(self.stream.batch_size)]))


class ClipDataModule(LightningDataModule):
    """Streams degraded/clean pairs; its state lets a resumed trainer go on behind what it has seen, in any process.

    Args:
        source: gives training sets and held-out pairs.
        cache: gives shards as files on this machine.
        degradation: the recipe for the training pairs.
        frames: T of the training pairs.
        crop: height and width of the training pairs.
        context: pixels around the crop that are degraded with it, see `ClipStream`.
        batch_size: pairs a batch and process.
        workers: loader processes for each training process; 0 loads in the training process itself.
        start_method: how they start: ``fork``, ``spawn`` or ``forkserver``.
        prefetch: batches that each of them keeps ready.
        buffer: samples held for shuffling.
        seed: the run's seed.
        tolerate: share of the clips that may be bad.
        multiple: what the model needs height and width to be a multiple of.
        temporal_stride: the autoencoder's.
        accumulate: batches for one step.
        overfit: train on the first batch again and again.
    """

    def __init__(
        self,
        source: Source,
        cache: ShardCache,
        degradation: Degradation,
        frames: int,
        crop: int,
        context: int,
        batch_size: int,
        workers: int,
        start_method: str,
        prefetch: int,
        buffer: int,
        seed: int,
        tolerate: float,
        multiple: int,
        temporal_stride: int,
        accumulate: int = 1,
        overfit: bool = False,
    ) -> None:
        super().__init__()
        self.source = source
        self.cache = cache
        self.degradation = degradation
        self.frames = frames
        self.crop = crop
        self.context = context
        self.batch_size = batch_size
        self.workers = workers
        self.start_method = start_method
        self.prefetch = prefetch
        self.buffer = buffer
        self.seed = seed
        self.tolerate = tolerate
        self.multiple = multiple
        self.temporal_stride = temporal_stride
        self.accumulate = accumulate
        self.overfit = overfit
        self._sets: Sequence[TrainingSet] = ()
        self._batches = 0
        self._places: dict[int, tuple[int, ...]] = {}

    def prepare_data(self) -> None:
        """Make the shards, on one process of each machine only."""
        self.source.training()

    @property
    def sets(self) -> Sequence[TrainingSet]:
        """The data sets, once read."""
        if not self._sets:
            self._sets = self.source.training()
        return self._sets

    @property
    def clips(self) -> int:
        """How many clips there are to train on."""
        return sum(len(one.entries) for one in self.sets)

    def trained_on(self, note: StreamNote | None) -> None:
        """Take down that a batch has been trained on."""
        self._batches += 1
        if note:
            self._places[note.worker] = note.places

    def stream(self) -> ClipStream:
        """This process's stream, from where it stands."""
        return ClipStream(
            sets=self.sets,
            cache=self.cache,
            degradation=self.degradation,
            frames=self.frames,
            crop=self.crop,
            context=self.context,
            batch_size=self.batch_size,
            buffer=self.buffer,
            seed=self.seed,
            tolerate=self.tolerate,
            rank=self._rank,
            world_size=self._world_size,
            workers=self.workers,
            standing=Standing() if self.overfit else Standing(self._batches, dict(self._places)),
        )

    def train_dataloader(self) -> DataLoader[Any]:
        """Batches from where the stream stands: a checkpoint is restored before this is called."""
        stream = self.stream()
        if self.overfit:
            return DataLoader(OneBatch(stream), batch_size=None)
        return DataLoader(
            stream,
            batch_size=self.batch_size,
            num_workers=self.workers,
            collate_fn=collate,
            multiprocessing_context=self.start_method if self.workers else None,
            prefetch_factor=self.prefetch if self.workers else None,
            worker_init_fn=leave_signals_to_the_trainer,
        )

    def val_dataloader(self) -> DataLoader[Pair]:
        """The first set of held-out clips, one a batch, since their sizes may differ."""
        pairs = self.source.held_out()
        first = [pair for pair in pairs if pair.name == pairs[0].name]
        clips = HeldOutClips(
            first, self.frames, self.multiple, self.temporal_stride, rank=self._rank, world_size=self._world_size
        )
        return DataLoader(clips, batch_size=1, collate_fn=collate)

    def on_after_batch_transfer(self, batch: LoadedBatch, dataloader_idx: int) -> ClipBatch:
        """Make floats of the frames where they are needed: on the device."""
        return batch.finished()

    def state_dict(self) -> dict[str, Any]:
        """Where the streams of all processes stand; every process must ask at once."""
        own = {str(worker): list(places) for worker, places in self._places.items()}
        everywhere: list[dict[str, list[int]]] = [own]
        if self._world_size > 1:
            everywhere = [{} for _ in range(self._world_size)]
            torch.distributed.all_gather_object(everywhere, own)
        return {"layout": self.layout(self._world_size), "batches": self._batches, "places": everywhere}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Stand where `state_dict` says.

        Raises:
            UserError: the order of clips is another here, so no place in it is that of the checkpoint.
        """
        self.check_layout(state_dict["layout"], self._world_size)
        self._batches = state_dict["batches"]
        self._places = {int(worker): tuple(places) for worker, places in state_dict["places"][self._rank].items()}

    def layout(self, world_size: int) -> dict[str, int | str]:
        """What the order of clips depends on, where so many processes train."""
        return {
            "processes": world_size,
            "data.workers": max(1, self.workers),
            "batch_size": self.batch_size,
            "trainer.accumulate": self.accumulate,
            "data.buffer": self.buffer,
            "seed": self.seed,
            "clips": text_sha256(" ".join(one.fingerprint for one in self.sets))[:16],
        }

    def check_layout(self, before: Mapping[str, int | str], world_size: int) -> None:
        """Refuse a checkpoint of another order of clips.

        Args:
            before: the `layout` that the checkpoint was written with.
            world_size: number of processes now.

        Raises:
            UserError: one sentence on the first difference.
        """
        now = self.layout(world_size)
        for name, value in before.items():
            if value != now[name]:
                raise UserError(_other_layout(name, value, now[name]))

    @property
    def _rank(self) -> int:
        return self.trainer.global_rank if self.trainer else 0

    @property
    def _world_size(self) -> int:
        return self.trainer.world_size if self.trainer else 1


def leave_signals_to_the_trainer(worker: int) -> None:
    """A loader's worker goes on when a terminal or a cluster tells the whole group to end: the step needs its batch."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(signum, signal.SIG_IGN)


def _other_layout(name: str, before: int | str, now: int | str) -> str:
    remedy = "take over its weights alone with warm_start=RUN and begin the data anew"
    if name in ("clips", "seed"):
        what = {"clips": "the training clips are others", "seed": "the seed is another"}[name]
        return f"{what} than when the checkpoint was written; put the old back, or {remedy}"
    return (
        f"{name} is {now} and was {before} when the checkpoint was written, so its place in the data cannot be found "
        f"again; use {before} again, or {remedy}"
    )
