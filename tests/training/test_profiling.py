import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch import Callback, Trainer
from tests.conftest import SMALLEST

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.data import pairing
from dvface.data.datamodule import ClipDataModule
from dvface.degradation.recipe import Recipe
from dvface.losses.reconstruction import CharbonnierLoss
from dvface.training import clip_time as clip_times
from dvface.training import profiling
from dvface.training.chain import make_data
from dvface.training.checkpoints import LastCheckpoint
from dvface.training.clip_time import DECODING, DEGRADATION, clip_time
from dvface.training.part_clock import PartClock, Watches
from dvface.training.profiling import WARM_UP, ProfileCallback
from dvface.training.stage import Stage
from dvface.training.trainer import quieten

STEPS = WARM_UP + 2
NAP = 0.5
"""Seconds of a clock on which all else of a step takes milliseconds."""


class Ticks:
    """A clock that goes on by a microsecond a look and by `NAP` where something is slow, however busy the machine."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        self.now += 1e-6
        return self.now

    def nap(self) -> None:
        self.now += NAP


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Ticks:
    """What profiles measure by in this test."""
    ticks = Ticks()
    for module in (profiling, clip_times):
        monkeypatch.setattr(module, "PartClock", partial(PartClock, clock=ticks))
    return ticks


def settings(shards: Path, *changes: str) -> TrainSettings:
    words = [
        *(*SMALLEST, "logger=none", "data=shards", "data.workers=0", "data.buffer=2", "data.context=0"),
        *(f"data.source.train={shards}", f"data.source.held_out={shards}"),
        *changes,
    ]
    return check(resolve(load("train", words)))


class Slow:
    """A recipe that changes nothing and takes its time."""

    def __init__(self, ticks: Ticks) -> None:
        self.ticks = ticks

    def __call__(self, clip: np.ndarray, rng: np.random.Generator) -> tuple[np.ndarray, dict[str, Any]]:
        self.ticks.nap()
        return clip, {}

    def describe(self) -> str:
        return "slow"


class Nap:
    """An operator that changes nothing and takes its time."""

    def __init__(self, ticks: Ticks) -> None:
        self.ticks = ticks

    def draw(self, rng: np.random.Generator, shape: Any) -> dict[str, Any]:
        return {}

    def apply(self, clip: np.ndarray, parameters: Any) -> np.ndarray:
        self.ticks.nap()
        return clip

    def describe(self) -> str:
        return "nap"


def fit(chosen: TrainSettings, name: str, folder: Path, *callbacks: Callback, **options: Any) -> tuple[Stage, Trainer]:
    quieten()
    torch.manual_seed(0)
    model = build(chosen.model)
    stage: Stage = build(chosen.stages.of(name).module)(model=model)
    data = make_data(chosen, name, model, build(chosen.data.source))
    data.degradation = options.get("recipe", data.degradation)
    trainer = Trainer(
        accelerator="cpu",
        max_steps=options.get("steps", STEPS),
        val_check_interval=options.get("validate", 2),
        check_val_every_n_epoch=None,
        num_sanity_val_steps=0,
        gradient_clip_val=1.0,
        enable_progress_bar=False,
        enable_model_summary=False,
        logger=False,
        default_root_dir=folder,
        callbacks=[*callbacks, LastCheckpoint(folder / "last.ckpt", every=2)],
    )
    trainer.fit(stage, datamodule=data)
    return stage, trainer


def profiled(chosen: TrainSettings, name: str, folder: Path, **options: Any) -> tuple[dict[str, Any], list[str]]:
    said: list[str] = []
    path = folder / "profile.json"
    fit(chosen, name, folder, ProfileCallback(name, path, said.append), **options)
    return json.loads(path.read_text()) if path.is_file() else {}, said


def seconds(found: dict[str, Any]) -> dict[str, float]:
    return {part["part"]: part["seconds"] for part in found["parts"]}


@pytest.mark.parametrize("name", ["codebook", "prior", "restorer"])
def test_the_parts_of_a_stage_add_up_and_are_all_seen(paired_shards: Path, tmp_path: Path, name: str) -> None:
    found, said = profiled(settings(paired_shards), name, tmp_path)
    parts = seconds(found)
    assert sum(parts.values()) == pytest.approx(found["seconds"])
    assert found["steps"] == STEPS - WARM_UP
    always = {"waiting for clips", "moving to the device", "prior", "backward", "optimiser and clipping"}
    always |= {"validation", "checkpoints", "rest of the forward pass", "logging and the rest"}
    own = {
        "codebook": {"decoder"},
        "prior": {"prior (teacher)"},
        "restorer": {
            *("autoencoder: encoding", "autoencoder: decoding", "backbone and fusion", "refinement"),
            *("loss: reconstruction", "loss: perceptual", "loss: temporal"),
        },
    }
    assert set(parts) == always | own[name]
    assert all(value > 0 for value in parts.values())
    calls = {part["part"]: part["calls"] for part in found["parts"]}
    # The checkpoint of step 4 and that of the last one, the validation after step 4.
    assert {calls[part] for part in ("waiting for clips", "backward")} == {STEPS - WARM_UP}
    assert (calls["checkpoints"], calls["validation"]) == (2, 1)
    assert said[0] == f"profile of {name}, 2 steps of {1000 * found['seconds'] / 2:,.0f} ms:"
    assert said[-1].startswith(f"slowest: {max(parts, key=lambda part: parts[part])}, ")
    assert all(part in said[1] for part in parts)


def test_a_slow_loss_is_named_with_what_to_do(
    paired_shards: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ticks: Ticks
) -> None:
    plain = CharbonnierLoss.forward

    def slow(self: CharbonnierLoss, *inputs: Any) -> torch.Tensor:
        ticks.nap()
        return plain(self, *inputs)

    monkeypatch.setattr(CharbonnierLoss, "forward", slow)
    found, said = profiled(settings(paired_shards, "loss/perceptual=none"), "restorer", tmp_path, validate=100)
    assert found["slowest"] == "loss: reconstruction"
    assert seconds(found)["loss: reconstruction"] >= NAP * found["steps"]
    assert "take another loss/reconstruction" in said[-1]


def test_a_slow_loader_is_named_with_the_part_of_a_clip_that_is_slow(
    paired_shards: Path, tmp_path: Path, ticks: Ticks
) -> None:
    recipe = Recipe("slow", {"nap": Nap(ticks)})
    found, said = profiled(settings(paired_shards), "codebook", tmp_path, recipe=recipe, validate=100)
    assert found["slowest"] == "waiting for clips"
    assert "raise data.workers, now 0, or degrade once and for all" in said[-1]
    assert "degrading takes" in said[-1]
    assert "nap" in said[-1]
    assert max(found["clip_seconds"], key=found["clip_seconds"].get) == f"{DEGRADATION}: nap"


def test_a_profile_changes_no_weight_and_leaves_nothing_behind(paired_shards: Path, tmp_path: Path) -> None:
    chosen = settings(paired_shards)
    plain, _ = fit(chosen, "restorer", tmp_path / "plain")
    said: list[str] = []
    watched, trainer = fit(
        chosen, "restorer", tmp_path / "watched", ProfileCallback("restorer", tmp_path / "profile.json", said.append)
    )
    for name, value in plain.state_dict().items():
        assert torch.equal(watched.state_dict()[name], value), name
    for module in watched.modules():
        assert not {"forward", "encode", "decode", "extract", "quantize", "score", "parts"} & set(vars(module))
    assert "restore_latents" not in vars(watched.model)
    assert "run" not in vars(trainer.fit_loop.epoch_loop.val_loop)
    assert type(trainer.profiler).__name__ == "PassThroughProfiler"


def test_an_interrupted_profile_leaves_nothing_behind(paired_shards: Path, tmp_path: Path) -> None:
    class Cut(Callback):
        def on_train_batch_end(self, *rest: Any) -> None:
            self.stage = rest[1]
            raise RuntimeError("cut")

    cut = Cut()
    profile = ProfileCallback("codebook", tmp_path / "profile.json", print)
    with pytest.raises(RuntimeError, match="cut"):
        fit(settings(paired_shards), "codebook", tmp_path, profile, cut)
    assert not {"extract", "quantize"} & set(vars(cut.stage.model.prior))


def test_a_stage_too_short_for_a_profile_says_so(paired_shards: Path, tmp_path: Path) -> None:
    found, said = profiled(settings(paired_shards), "codebook", tmp_path, steps=WARM_UP)
    assert not found
    assert said == [
        "codebook: 3 steps are too few for a profile, of which the first 3 are left out; raise stages.codebook.steps"
    ]


@pytest.mark.parametrize("workers", [0, 1])
def test_the_time_of_a_clip_is_that_of_its_parts(paired_shards: Path, ticks: Ticks, workers: int) -> None:
    chosen = settings(paired_shards, f"data.workers={workers}")
    data: ClipDataModule = make_data(chosen, "codebook", build(chosen.model), build(chosen.data.source))
    data.degradation = Slow(ticks)
    plain = pairing.open_side
    found = clip_time(data, 2)
    assert found[DEGRADATION] == pytest.approx(NAP, rel=1e-3)
    assert found[DECODING] > 0
    assert set(found) == {DEGRADATION, DECODING, "reading the shard", "cropping and the rest"}
    assert pairing.open_side is plain


class TestPartClock:
    def test_time_goes_to_the_innermost_part(self) -> None:
        now = iter([0, 1, 3, 7, 15, 31])
        clock = PartClock("rest", settle=lambda: None, clock=lambda: float(next(now)))
        clock.enter("outer")
        clock.enter("inner")
        clock.leave()
        clock.leave()
        clock.book()
        spent = {part: (each.seconds, each.calls) for part, each in clock.spent.items()}
        assert spent == {"rest": (17.0, 0), "outer": (10.0, 1), "inner": (4.0, 1)}
        assert clock.total == 31.0

    def test_a_closed_part_keeps_what_is_within_unless_that_is_closed_too(self) -> None:
        now = iter([0, 1, 3, 7, 15, 31])
        clock = PartClock("rest", settle=lambda: None, clock=lambda: float(next(now)))
        clock.enter("closed", closed=True)
        clock.enter("open")
        clock.enter("other", closed=True)
        clock.leave()
        clock.leave()
        assert {part: each.seconds for part, each in clock.spent.items()} == {"rest": 1, "closed": 22, "other": 8}

    def test_watches_give_back_what_was_there_before(self) -> None:
        class Thing:
            def work(self) -> str:
                return "done"

        bare, replaced = Thing(), Thing()
        replaced.work = other = lambda: "otherwise"  # type: ignore[method-assign]
        watches = Watches(PartClock("rest", settle=lambda: None))
        watches.add(bare, "work", "part")
        watches.add(replaced, "work", "part")
        assert (bare.work(), replaced.work(), watches.clock.spent["part"].calls) == ("done", "otherwise", 2)
        watches.take_back()
        assert "work" not in vars(bare)
        assert replaced.work is other
