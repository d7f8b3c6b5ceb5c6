import numpy as np
import pytest

from dvface.benchmarks.degradation import measure_speed
from dvface.benchmarks.footage import talking_head
from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.degradation.lens import Defocus
from dvface.degradation.recipe import Recipe


@pytest.mark.parametrize("name", ["vfhq", "dove", "bfvr_stc", "realesrgan"])
def test_the_rival_gives_our_pixels(name: str) -> None:
    recipe = build(resolve(load("train", [f"degradation={name}"]))["degradation"])
    found = measure_speed(recipe, talking_head(clips=2, frames=2, size=96), seed=1)
    assert found.difference < 0.02, "a level of Poisson noise may differ where light falls between two"
    assert min(found.ours, found.plain, found.ours_without_codecs, found.plain_without_codecs) > 0
    assert found.codec_share < 1


def test_an_operator_without_a_plain_version_is_refused() -> None:
    recipe = Recipe("odd", {"defocus": Defocus([2.0, 3.0])})
    with pytest.raises(TypeError, match="no plain version of Defocus"):
        measure_speed(recipe, [np.zeros((2, 32, 32, 3), np.float32)], seed=0)
