from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from lightning.pytorch import Trainer
from safetensors.torch import load_file
from tests.conftest import SMALLEST
from tests.training.curves import timeless_curves
from torch.utils.data import DataLoader

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.contracts import ClipBatch
from dvface.data.shards import Clip, write_shards
from dvface.models.autoencoders.principal import PrincipalAutoencoder
from dvface.models.restorer import Restorer
from dvface.tracking.run import NoRun
from dvface.training.callbacks import ProgressCallback
from dvface.training.chain import Chain
from dvface.training.principal_stage import PrincipalStage
from dvface.training.run_folder import RunFolder

STEPS = 4
CHOICES = [*SMALLEST, "autoencoder=principal", "autoencoder.channels=12", "stages/autoencoder=principal", "logger=none"]


@pytest.fixture(scope="module")
def chosen(carphone: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> TrainSettings:
    shards = tmp_path_factory.mktemp("shards")
    frames = carphone[:, 40:88, 60:124]
    clips = [
        Clip(f"clip-{n}", frames[9 * n : 9 * n + 9], Fraction(25), degraded=frames[9 * n : 9 * n + 9]) for n in range(6)
    ]
    write_shards(shards, clips, clips_per_shard=2)
    return check(
        resolve(
            load(
                "train",
                [
                    *CHOICES,
                    "stage=autoencoder",
                    "data=shards",
                    f"data.source.train={shards}",
                    f"data.source.held_out={shards}",
                    "data.workers=0",
                    "data.buffer=2",
                    f"stages.autoencoder.steps={STEPS}",
                    "stages.autoencoder.batch_size=2",
                    "stages.autoencoder.crop=32",
                    "trainer.log_every=1",
                    "trainer.validate_every=2",
                    "trainer.checkpoint_every=1",
                ],
            )
        )
    )


def autoencoder_of(model: Restorer) -> PrincipalAutoencoder:
    assert isinstance(model.autoencoder, PrincipalAutoencoder)
    return model.autoencoder


def test_the_basis_is_that_of_all_batches(chosen: TrainSettings) -> None:
    batches = [torch.rand(2, 3, 5, 16, 16) * 2 - 1 for _ in range(5)]
    stage = PrincipalStage(build(chosen.model), seed=0)
    trainer = Trainer(max_steps=5, accelerator="cpu", barebones=True)
    trainer.fit(stage, DataLoader([ClipBatch(batch, batch, ("one", "two")) for batch in batches], batch_size=None))
    assert trainer.global_step == 5

    fitted = autoencoder_of(stage.model)
    blocks = torch.cat([fitted.blocks(batch).flatten(0, 3) for batch in batches]).double()
    torch.testing.assert_close(fitted.mean, blocks.mean(dim=0).float(), rtol=1e-5, atol=1e-6)
    values, vectors = torch.linalg.eigh(torch.cov(blocks.T, correction=0))
    torch.testing.assert_close(fitted.deviation, values.flip(0)[:12].sqrt().float(), rtol=1e-4, atol=0)
    same = (fitted.basis.double() @ vectors.flip(1)[:, :12]).abs()
    torch.testing.assert_close(same, torch.eye(12, dtype=torch.float64), rtol=0, atol=1e-4)


def test_resumed_equals_uninterrupted(
    chosen: TrainSettings, carphone: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Chain(chosen, RunFolder(tmp_path / "whole"), NoRun()).train()
    step_done = ProgressCallback.on_train_batch_end

    def cut(self: ProgressCallback, trainer: Trainer, *rest: object) -> None:
        step_done(self, trainer, *rest)
        if trainer.global_step == STEPS - 1:
            raise InterruptedError

    monkeypatch.setattr(ProgressCallback, "on_train_batch_end", cut)
    with pytest.raises(InterruptedError):
        Chain(chosen, RunFolder(tmp_path / "cut"), NoRun()).train()
    monkeypatch.undo()
    assert RunFolder(tmp_path / "cut").checkpoint("autoencoder").is_file()
    resumed = Chain(chosen, RunFolder(tmp_path / "cut"), NoRun()).train()

    fresh = build(chosen.model).state_dict()
    for name, value in whole.state_dict().items():
        assert torch.equal(resumed.state_dict()[name], value), name
    assert not torch.equal(whole.state_dict()["autoencoder.basis"], fresh["autoencoder.basis"])
    curves = [timeless_curves(RunFolder(tmp_path / run), "autoencoder") for run in ("whole", "cut")]
    assert curves[0] == curves[1]
    assert len(curves[0]["train/loss"]) == STEPS
    clip = torch.from_numpy(carphone[:9, 40:88, 60:124].copy()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    before, after = (
        (one.decode(one.encode(clip)) - clip).square().mean()
        for one in (autoencoder_of(build(chosen.model)), autoencoder_of(whole))
    )
    assert after < 0.8 * before
    left = load_file(RunFolder(tmp_path / "whole").weights("autoencoder"))
    assert torch.equal(left["autoencoder.basis"], autoencoder_of(whole).basis)
    assert not any("clock" in name or "products" in name for name in left)


def test_another_autoencoder_is_refused(smallest_model: Restorer) -> None:
    with pytest.raises(ValueError, match="say autoencoder=principal"):
        PrincipalStage(smallest_model, seed=0)
