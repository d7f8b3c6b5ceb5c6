"""What the names of models mean, and the model that comes with the package."""

from pathlib import Path

import numpy as np
import pytest
import torch

from dvface.degradation.recipe import Recipe
from dvface.degradation.resize import Downscale, ResizeBack
from dvface.errors import UserError
from dvface.inference.whole import WholePicture
from dvface.inference.windows import WindowedRestorer
from dvface.models.model_folder import SMALL, WEIGHTS_FILE, model_folder
from dvface.models.restorer import Restorer
from dvface.perception.perceptual import ShiftTolerantLPIPS
from dvface.seeding import derive_generator


def test_a_run_a_model_folder_and_the_shipped_model_are_found(tmp_path: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "model" / "config.json").write_text("{}")
    assert model_folder(tmp_path / "run") == model_folder(tmp_path / "run" / "model") == tmp_path / "run" / "model"
    assert (model_folder("small") / WEIGHTS_FILE).is_file()


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"checkpoint=.*nothing is no run and no model folder; give one .* or small"):
        model_folder(tmp_path / "nothing")
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(UserError, match=r"is a run without a finished model; go on with dvface train resume="):
        model_folder(tmp_path)


def test_the_shipped_model_is_small_enough_to_ship() -> None:
    assert sum(file.stat().st_size for file in model_folder(SMALL).iterdir()) <= 40e6


@pytest.fixture(scope="module")
def small() -> Restorer:
    return Restorer.from_pretrained(model_folder(SMALL))


def distance(one: np.ndarray, other: np.ndarray) -> float:
    """ST-LPIPS, mean over frames."""
    frames = (torch.from_numpy(video).permute(0, 3, 1, 2).float() / 127.5 - 1 for video in (one, other))
    with torch.inference_mode():
        return float(ShiftTolerantLPIPS("alex")(*frames).mean())


def test_the_shipped_model_improves_a_blurred_face_that_it_never_saw(small: Restorer, carphone: np.ndarray) -> None:
    clean = carphone[:5]
    recipe = Recipe("quarter", {"down": Downscale([4.0, 4.0], {"area": 1.0}), "back": ResizeBack("bicubic")})
    degraded, _ = recipe(clean.astype(np.float32) / 255, derive_generator(0, "blurred"))
    degraded = np.rint(degraded * 255).astype(np.uint8)
    restored = np.stack(list(WindowedRestorer(WholePicture(small))(degraded)))
    assert distance(restored, clean) < distance(degraded, clean)


def test_the_shipped_model_leaves_a_good_face_nearly_alone(small: Restorer, carphone: np.ndarray) -> None:
    clean = carphone[:5]
    restored = np.stack(list(WindowedRestorer(WholePicture(small))(clean)))
    error = np.square(restored.astype(float) - clean).mean()
    assert 10 * np.log10(255**2 / error) > 30
