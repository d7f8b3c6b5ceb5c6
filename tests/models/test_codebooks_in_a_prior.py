from pathlib import Path

import pytest
import torch
from tests.conftest import SMALLEST

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import check


@pytest.mark.parametrize("kind", ["moving_average", "vq", "cosine"])
def test_repeated_frames_do_not_blow_up_the_encoder_s_gradient(kind: str) -> None:
    changes = [*SMALLEST, f"codebook/spatial={kind}", f"codebook/temporal={kind}"]
    model = build(check(resolve(load("train", changes))).model).train()
    moving = torch.rand(2, 3, 9, 32, 32) * 2 - 1
    norms = []
    for video in (moving, torch.cat([moving[:, :, :5], moving[:, :, 4:5].expand(-1, -1, 4, -1, -1)], dim=2)):
        model.zero_grad()
        quantized = model.prior.quantize(model.prior.extract(model.views(video)))
        sum(side.features.square().sum() + side.loss for side in quantized.values()).backward()
        gradients = [parameter.grad for parameter in model.prior.encoder.parameters()]
        norms.append(torch.cat([gradient.flatten() for gradient in gradients]).norm())
    assert norms[1] < 20 * norms[0]


@pytest.mark.parametrize("side", ["spatial", "temporal"])
@pytest.mark.parametrize("name", sorted(path.stem for path in Path("conf/codebook/spatial").glob("*.yaml")))
def test_every_variant_serves_a_whole_restorer(side: str, name: str) -> None:
    chosen = check(resolve(load("train", [*SMALLEST, f"codebook/{side}={name}"])))
    with torch.device("meta"):
        model = build(chosen.model).eval()
        video = torch.zeros(2, 3, 9, 32, 48)
        assert model(video).shape == video.shape
        assert getattr(model.prior(model.views(video)), side).tokens.shape == (2, 3, 4, 6, 16)
