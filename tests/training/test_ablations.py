"""Every ablation trains: a step of each of its stages, on real footage degraded by its own recipe."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from tests.config.experiments import ABLATIONS, composed

from dvface.config.build import build
from dvface.config.compose import declared, resolve
from dvface.config.schema import StageSettings, check
from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer
from dvface.seeding import derive_generator
from dvface.training.stage import Stage

SMALL = {
    "size.token_dim": 32,
    "size.prior_dim": 16,
    "size.predictor_depth": 1,
    "size.fusion_width": 16,
    "backbone.heads": 2,
    "backbone.layers": 2,
    "backbone.feed_forward_dim": 32,
    "text.dim": 8,
    "prior.encoder.channels": [8, 8, 8],
    "refinement.channels": 8,
    "refinement.blocks": 1,
    "stages.codebook.module.decoder.channels": [8, 8, 8],
}


def batch(stage: StageSettings, carphone: np.ndarray) -> ClipBatch:
    """One clip of 5 frames and 32 pixels, degraded as the stage says."""
    clean = carphone[:5, 40:104, 60:124].astype(np.float32) / 255
    degraded, _ = build(stage.degradation)(clean, derive_generator(0, "clip"))
    sides = (torch.from_numpy(np.ascontiguousarray(side[:, 16:48, 16:48])) for side in (clean, degraded))
    return ClipBatch(*((side.permute(3, 0, 1, 2)[None] * 2 - 1).float() for side in sides), keys=("carphone",))


@pytest.mark.parametrize("name", [name for name in ABLATIONS if declared(name, "baseline") == "tiny"])
def test_an_ablation_trains_a_step_of_each_of_its_stages(name: str, carphone: np.ndarray) -> None:
    tree = composed(name)
    for key, value in SMALL.items():
        OmegaConf.update(tree, key, value)
    settings = check(resolve(tree))
    model: Restorer = build(settings.model, seed=0)
    for stage_name in settings.chosen_stages:
        spec = settings.stages.of(stage_name)
        clips = batch(spec, carphone)
        stage: Stage = build(spec.module)(model=model).train()
        learning = {key: value for key, value in stage.named_parameters() if value.requires_grad}
        optimizer = torch.optim.AdamW(learning.values(), lr=1e-2)
        before = {key: value.detach().clone() for key, value in stage.named_parameters()}
        loss, values = stage.losses(clips)
        loss.backward()
        assert all(torch.isfinite(value).all() for value in (loss, *values.values()))
        optimizer.step()
        moved = {key for key, value in stage.named_parameters() if not torch.equal(value, before[key])}
        assert moved
        assert moved <= learning.keys()
    restored = model.eval()(clips.degraded)
    assert not torch.equal(restored, clips.degraded)  # at its start it gave back what it got
    assert torch.isfinite(restored).all()
