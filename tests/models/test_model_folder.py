"""Where a model lies."""

from pathlib import Path

import pytest

from dvface.errors import UserError
from dvface.models.model_folder import model_folder


def test_a_run_and_a_model_folder_are_found(tmp_path: Path) -> None:
    model = tmp_path / "run" / "model"
    model.mkdir(parents=True)
    (model / "config.json").write_text("{}")
    assert model_folder(tmp_path / "run") == model_folder(model) == model


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"checkpoint=.*nothing is no run and no model folder; give one that"):
        model_folder(tmp_path / "nothing")
    (tmp_path / "config.yaml").write_text("")
    with pytest.raises(UserError, match=r"is a run without a finished model; go on with dvface train resume="):
        model_folder(tmp_path)
