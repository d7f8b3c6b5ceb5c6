import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from safetensors.torch import load_file
from tests.training.processes import free_ports, once, together
from tests.training.test_chain import STEPS, PowerCut, settings, train
from torch import Tensor, distributed, nn
from torch.distributed.tensor import DTensor

from dvface.training.callbacks import ProgressCallback
from dvface.training.curves import read_curves
from dvface.training.run_folder import RunFolder
from dvface.training.sharded import clip_gradients

RESTORER = [
    "stage=restorer",
    "stages.codebook.steps=0",
    "stages.prior.steps=0",
    "autoencoder=light",
    "stages.restorer.module.train_decoder=true",  # the decoder stays whole, beside the backbone's pieces
    "trainer.accumulate=2",
    "trainer.gradient_clip=0.01",
]
CHECKPOINTING = "trainer.gradient_checkpointing=true"
RUNS = {
    "ddp-codebook": ["trainer.strategy=ddp", "stage=codebook"],
    "fsdp-codebook": ["trainer.strategy=fsdp", "stage=codebook"],
    "ddp-restorer": ["trainer.strategy=ddp", *RESTORER],
    "fsdp-restorer": ["trainer.strategy=fsdp", *RESTORER],
    "fsdp-cut": ["trainer.strategy=fsdp", *RESTORER],
    "fsdp-resumed": ["trainer.strategy=fsdp", *RESTORER],
    "fsdp-half": ["trainer.strategy=fsdp", *RESTORER, "trainer.precision=bf16-mixed", CHECKPOINTING],
}


@pytest.fixture(scope="module")
def runs(paired_shards: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of runs, each trained by two processes; both train all of them, since starting takes longest."""
    return once(
        tmp_path_factory, "sharded", lambda folder: together(one_process, free_ports(len(RUNS)), paired_shards, folder)
    )


def one_process(rank: int, ports: list[int], shards: Path, folder: Path) -> None:
    torch.set_num_threads(1)
    os.environ.update(MASTER_ADDR="127.0.0.1", LOCAL_RANK=str(rank), NODE_RANK="0")
    for port, (name, changes) in zip(ports, RUNS.items(), strict=True):
        os.environ["MASTER_PORT"] = str(port)
        chosen = settings(shards, "trainer.devices=2", *changes)
        place = folder / ("fsdp-cut" if name == "fsdp-resumed" else name)
        seen: dict[str, Any] = {}

        def look(trainer: Trainer, module: LightningModule, name: str = name, seen: dict[str, Any] = seen) -> None:
            seen["pieces"] = pieces(module)
            seen["whole"] = {key: value for key, value in tensors(module) if not isinstance(value, DTensor)}
            if name == "fsdp-cut" and trainer.global_step == STEPS - 1:
                raise PowerCut

        with after_each_step(look):
            if name == "fsdp-cut":
                with pytest.raises(PowerCut):
                    train(chosen, place)
                distributed.destroy_process_group()
            else:
                train(chosen, place)
        torch.save(seen, folder / f"{name}-{rank}.pt")


@contextmanager
def after_each_step(look: Callable[[Trainer, LightningModule], None]) -> Iterator[None]:
    step_done = ProgressCallback.on_train_batch_end

    def hook(self: ProgressCallback, trainer: Trainer, module: LightningModule, *rest: Any) -> None:
        step_done(self, trainer, module, *rest)
        look(trainer, module)

    with patch.object(ProgressCallback, "on_train_batch_end", hook):
        yield


def tensors(module: nn.Module) -> list[tuple[str, Tensor]]:
    return [*module.named_parameters(), *module.named_buffers()]


def pieces(module: nn.Module) -> dict[str, tuple[int, int]]:
    """Numbers of elements here and altogether."""
    return {
        name: (value.to_local().numel(), value.numel())
        for name, value in module.named_parameters()
        if isinstance(value, DTensor)
    }


def weights(runs: Path, name: str) -> dict[str, Tensor]:
    return load_file(next((runs / name / "stages").glob("*/weights.safetensors")))


def curves(runs: Path, name: str) -> dict[str, list[tuple[int, float]]]:
    return read_curves(next((runs / name / "stages").glob("*/curves.jsonl")))


@pytest.mark.slow
@pytest.mark.parametrize("stage", ["codebook", "restorer"])
def test_sharded_training_gives_what_ordinary_training_gives(runs: Path, stage: str) -> None:
    one, other = weights(runs, f"ddp-{stage}"), weights(runs, f"fsdp-{stage}")
    # Adam divides by the gradient's size, so that rounding moves weights whose gradient is nothing but rounding.
    torch.testing.assert_close(other, one, atol=1e-4, rtol=0)
    one, other = (curves(runs, f"{strategy}-{stage}") for strategy in ("ddp", "fsdp"))
    assert len({loss for _, loss in one["train/loss"]}) == STEPS
    for name in ("train/loss", "train/gradient_norm", "held_out/loss"):
        assert dict(other[name]) == pytest.approx(dict(one[name]), rel=1e-4)


@pytest.mark.slow
def test_an_interrupted_sharded_run_goes_on_exactly(runs: Path) -> None:
    whole, resumed = weights(runs, "fsdp-restorer"), weights(runs, "fsdp-cut")
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        assert torch.equal(resumed[name], value), name
    one, other = curves(runs, "fsdp-restorer"), curves(runs, "fsdp-cut")
    measured = [name for name in one if name.startswith(("train/", "held_out/"))]
    assert "train/loss" in measured
    assert [other[name] for name in measured] == [one[name] for name in measured]


@pytest.mark.slow
def test_a_sharded_checkpoint_is_an_ordinary_one(runs: Path) -> None:
    one, other = (
        torch.load(RunFolder(runs / f"{strategy}-restorer").checkpoint("restorer"), weights_only=True)
        for strategy in ("ddp", "fsdp")
    )
    torch.testing.assert_close(other["state_dict"], one["state_dict"], atol=1e-4, rtol=0)
    (expected,), (found,) = (each["optimizer_states"] for each in (one, other))
    for moment in ("exp_avg", "exp_avg_sq"):
        known, got = (
            torch.cat([entry[moment].flatten() for entry in each["state"].values()]) for each in (expected, found)
        )
        assert (got - known).norm() < 1e-3 * known.norm()
    assert all(entry["step"] == STEPS for entry in found["state"].values())
    assert [group["params"] for group in found["param_groups"]] == [
        group["params"] for group in expected["param_groups"]
    ]


@pytest.mark.slow
def test_every_weight_of_the_backbone_lies_in_pieces(runs: Path) -> None:
    found = [torch.load(runs / f"fsdp-restorer-{rank}.pt")["pieces"] for rank in range(2)]
    expected = {
        name: value.numel()
        for name, value in weights(runs, "ddp-restorer").items()
        if name.startswith(("backbone.", "refinement."))
    }
    for name, count in expected.items():
        own = [each[f"model.{name}"][0] for each in found]
        assert sum(own) == count, name
        assert {each[f"model.{name}"][1] for each in found} == {count}
    blocks = [name for name in expected if ".blocks." in name]
    assert blocks
    for each in found:
        share = sum(each[f"model.{name}"][0] for name in blocks) / sum(expected[name] for name in blocks)
        assert share == pytest.approx(0.5, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in RUNS if name.startswith("fsdp")])
def test_what_is_whole_stays_the_same_on_every_process(runs: Path, name: str) -> None:
    one, other = (torch.load(runs / f"{name}-{rank}.pt")["whole"] for rank in range(2))
    assert any("prior" in key for key in one)
    assert one.keys() == other.keys()
    for key, value in one.items():
        assert torch.equal(other[key], value), key


@pytest.mark.slow
def test_half_precision_computes_in_bfloat16_and_keeps_weights_in_full(runs: Path) -> None:
    full, half = weights(runs, "fsdp-restorer"), weights(runs, "fsdp-half")
    assert all(half[name].dtype == value.dtype for name, value in full.items())
    assert any(not torch.equal(half[name], value) for name, value in full.items())
    losses = [dict(curves(runs, name)["train/loss"]) for name in ("fsdp-restorer", "fsdp-half")]
    assert losses[1] == pytest.approx(losses[0], rel=2e-2)


def test_clipping_is_that_of_pytorch_where_nothing_is_in_pieces() -> None:
    for limit in (0.1, 1e6):
        layers = [nn.Linear(7, 5), nn.Linear(7, 5)]
        layers[1].load_state_dict(layers[0].state_dict())
        for layer in layers:
            layer(torch.ones(3, 7)).square().sum().backward()
        norm = clip_gradients(layers[0].parameters(), limit)
        assert torch.equal(norm, nn.utils.clip_grad_norm_(layers[1].parameters(), limit))
        for one, other in zip(layers[0].parameters(), layers[1].parameters(), strict=True):
            assert torch.equal(one.grad, other.grad)


def test_nothing_to_clip_has_no_norm() -> None:
    assert clip_gradients([nn.Parameter(torch.ones(2))], 1.0) == 0
