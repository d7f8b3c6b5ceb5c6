import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from PIL import Image
from tests.conftest import SMALLEST
from tests.training.processes import free_ports, together
from torch import distributed
from torch.utils.data import DataLoader, Dataset

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import check
from dvface.contracts import ClipBatch
from dvface.data.stream import to_tensor
from dvface.files import write_json
from dvface.perception.pixels import to_bytes
from dvface.tracking.run import NoRun
from dvface.training.codebook_usage import CodebookUsage
from dvface.training.curves import read_curves
from dvface.training.pictures import HeldOutPictures
from dvface.training.prior_stage import PriorStage
from dvface.training.records import RunLogger
from dvface.training.speed import Speed
from dvface.training.stage import Stage

ENTRIES = 64
PREFIXES = ("held_out/entries_used", "held_out/dead_entries")


def stage_of(name: str, changes: list[str]) -> Stage:
    torch.manual_seed(0)
    settings = check(resolve(load("train", [*SMALLEST, f"size.entries={ENTRIES}", *changes])))
    stage: Stage = build(settings.stages.of(name).module)(model=build(settings.model))
    return stage


def clips(carphone: np.ndarray) -> list[ClipBatch]:
    frames = carphone[:, 40:88, 60:124]
    return [
        ClipBatch(to_tensor(frames[at : at + 5])[None], to_tensor(frames[at : at + 5] // 2)[None], (f"clip-{at}",))
        for at in (0, 40, 80)
    ]


class Dealt(Dataset[ClipBatch]):
    """Held-out clips, dealt to processes in turn, the last one padded."""

    def __init__(self, batches: list[ClipBatch], processes: int) -> None:
        self.batches = batches
        self.processes = processes

    def __len__(self) -> int:
        return -(-len(self.batches) // self.processes)

    def __getitem__(self, index: int) -> ClipBatch:
        place = index * self.processes + (distributed.get_rank() if distributed.is_initialized() else 0)
        if place < len(self.batches):
            return self.batches[place]
        noise = torch.rand_like(self.batches[0].clean) * 2 - 1
        return ClipBatch(noise, noise, ("padding",), padding=True)


def fit(stage: Stage, held_out: list[ClipBatch], folder: Path, processes: int) -> None:
    speed = Speed("stage", 1, print)
    trainer = Trainer(
        max_steps=2,
        accelerator="cpu",
        devices=processes,
        strategy="ddp" if processes > 1 else "auto",
        use_distributed_sampler=False,
        val_check_interval=2,
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        log_every_n_steps=1,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        default_root_dir=folder,
        logger=RunLogger(NoRun(), "stage", folder / "curves.jsonl"),
        profiler=speed.watch,
        callbacks=[CodebookUsage(), HeldOutPictures(2, folder / "seen", NoRun(), "stage"), speed],
    )
    # Processes that train on the same batch end with the weights that one process ends with.
    trainer.fit(
        stage,
        DataLoader([held_out[0]] * 4, batch_size=None),
        DataLoader(Dealt(held_out, processes), batch_size=None),
    )


def used_by_any(stage: Stage, held_out: list[ClipBatch]) -> dict[str, list[set[int]]]:
    """Each side's entries, level by level, that some clip chooses."""
    prior = stage.eval().model.prior
    used: dict[str, list[set[int]]] = {}
    for batch in held_out:
        with torch.no_grad():
            if isinstance(stage, PriorStage):
                features = prior(stage.model.views(batch.degraded))
                indices = {side: getattr(features, side).indices for side in prior.branches}
            else:
                quantized = prior.quantize(prior.extract(stage.model.views(batch.clean)))
                indices = {side: found.indices for side, found in quantized.items()}
        for side, chosen in indices.items():
            levels = used.setdefault(side, [set() for _ in range(chosen.shape[-1])])
            for level, entries in zip(levels, chosen.flatten(0, -2).unbind(-1), strict=True):
                level.update(entries.tolist())
    return used


def expected_of(used: dict[str, list[set[int]]]) -> dict[str, float]:
    """What is to be recorded of `used_by_any`."""
    chosen = {side: sum(map(len, levels)) / len(levels) for side, levels in used.items() if levels}
    shares = {f"held_out/entries_used_{side}": number / ENTRIES for side, number in chosen.items()}
    return shares | {f"held_out/dead_entries_{side}": ENTRIES - number for side, number in chosen.items()}


def recorded(folder: Path) -> dict[str, float]:
    curves = read_curves(folder / "curves.jsonl")
    return {name: points[-1][1] for name, points in curves.items() if name.startswith(PREFIXES)}


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("codebook", []),
        ("codebook", ["codebook/spatial=residual"]),
        ("prior", []),
        ("prior", ["codebook/spatial=residual"]),
        ("prior", ["prior=shared"]),
        ("prior", ["codebook/temporal=none"]),
    ],
)
def test_an_entry_counts_once_however_many_clips_choose_it(
    carphone: np.ndarray, tmp_path: Path, name: str, changes: list[str]
) -> None:
    held_out = clips(carphone)
    stage = stage_of(name, changes)
    fit(stage, held_out, tmp_path, 1)
    expected = expected_of(used_by_any(stage, held_out))
    assert recorded(tmp_path) == pytest.approx(expected)
    assert 1 / ENTRIES < expected["held_out/entries_used_spatial"] < 1
    if name == "codebook":
        by_clip = read_curves(tmp_path / "curves.jsonl")["held_out/usage_spatial"][-1][1]
        assert by_clip < expected["held_out/entries_used_spatial"]


def test_a_stage_without_codebooks_to_choose_from_records_nothing(carphone: np.ndarray, tmp_path: Path) -> None:
    fit(stage_of("restorer", []), clips(carphone)[:1], tmp_path, 1)
    assert recorded(tmp_path) == {}


def one_of_two(rank: int, held_out: list[ClipBatch], folder: Path, port: int) -> None:
    torch.set_num_threads(1)
    os.environ |= {"LOCAL_RANK": str(rank), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    stage = stage_of("codebook", [])
    fit(stage, held_out, folder, 2)
    if rank == 0:
        write_json(folder / "expected.json", expected_of(used_by_any(stage, held_out)))
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_count_together_and_the_first_one_draws(carphone: np.ndarray, tmp_path: Path) -> None:
    held_out = clips(carphone)
    together(one_of_two, held_out, tmp_path, *free_ports(1))
    assert recorded(tmp_path) == pytest.approx(json.loads((tmp_path / "expected.json").read_text()))

    # The first process has the first clip and the third.
    picture = np.asarray(Image.open(tmp_path / "seen" / "step-000002.png"))
    for row, batch in enumerate((held_out[0], held_out[2])):
        panel = picture[row * len(picture) // 2 :][len(picture) // 2 - 48 : len(picture) // 2, :64]
        np.testing.assert_array_equal(panel, to_bytes(batch.clean[0].transpose(0, 1))[2])

    speed = {name: points[-1][1] for name, points in read_curves(tmp_path / "curves.jsonl").items() if "speed" in name}
    # A step takes one clip of each process.
    assert speed["speed/clips_per_second"] * speed["speed/step_seconds"] == pytest.approx(2)
