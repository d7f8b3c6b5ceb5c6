from typing import Any

import pytest
import torch
from tests.conftest import SMALLEST

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import check
from dvface.models.restorer import Restorer


def smallest(*changes: str) -> dict[str, Any]:
    temporal = ["prior.temporal.predictor.depth=1", "prior.spatial.predictor.depth=1"]
    return check(resolve(load("train", [*SMALLEST, *temporal, *changes]))).model


@pytest.mark.parametrize("name", ["patch", "haar", "principal", "light", "taehv", "wan"])
def test_each_variant_makes_a_whole_system(name: str) -> None:
    with torch.device("meta"):
        model = build(smallest(f"autoencoder={name}")).eval()
        video = torch.zeros(1, 3, 5, 64, 64)
        assert model(video).shape == video.shape
    assert (model.autoencoder.spatial_stride, model.autoencoder.temporal_stride) == (8, 4)


def test_untrained_on_wavelets_the_system_is_the_identity() -> None:
    model: Restorer = build(smallest("autoencoder=haar")).eval()
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    with torch.inference_mode():
        torch.testing.assert_close(model(video), video, rtol=0, atol=1e-5)
