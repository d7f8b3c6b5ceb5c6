import json
from pathlib import Path

import pytest
import torch

from dvface.config.schema import TrainSettings
from dvface.errors import UserError
from dvface.models.restorer import Restorer


def perturb(module: torch.nn.Module) -> None:
    """Take every zero-initialised layer away from zero, as training would."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def test_untrained_the_whole_system_is_the_identity(smallest_model: Restorer) -> None:
    video = torch.rand(2, 3, 9, 32, 48) * 2 - 1
    assert torch.equal(smallest_model.eval()(video), video)


def test_trained_it_is_not(smallest_model: Restorer) -> None:
    perturb(smallest_model)
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    assert (smallest_model.eval()(video) - video).abs().mean() > 1e-3


def test_each_clip_of_a_batch_is_restored_on_its_own(smallest_model: Restorer) -> None:
    perturb(smallest_model)
    smallest_model.eval()
    video = torch.rand(3, 3, 5, 32, 32) * 2 - 1
    together = smallest_model(video)
    alone = torch.cat([smallest_model(video[index : index + 1]) for index in (2, 0, 1)])
    torch.testing.assert_close(together[[2, 0, 1]], alone, rtol=1e-4, atol=1e-5)


def test_a_saved_model_reopens_and_restores_the_same(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    perturb(smallest_model)
    smallest_model.save_pretrained(tmp_path, smallest_settings.model)
    reopened = Restorer.from_pretrained(tmp_path)
    video = torch.rand(1, 3, 5, 32, 32)
    assert torch.equal(reopened(video), smallest_model.eval()(video))


def test_a_folder_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        Restorer.from_pretrained(tmp_path)


def test_a_model_description_cannot_name_foreign_code(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    smallest_model.save_pretrained(tmp_path, smallest_settings.model)
    config = json.loads((tmp_path / "config.json").read_text())
    for target in ("os.system", "dvface.models.restorer.save_file", "dvface.files.write_text"):
        config["model"]["refinement"] = {"_target_": target}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match="_target_"):
            Restorer.from_pretrained(tmp_path)


def test_a_model_description_cannot_call_functions_or_build_what_is_no_network(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    smallest_model.save_pretrained(tmp_path / "model", smallest_settings.model)
    path = tmp_path / "model" / "config.json"
    original = json.loads(path.read_text())
    victim = tmp_path / "victim"
    victim.write_text("mine")
    writer = {
        "_target_": "dvface.models.text_embedding.write_embedding",
        "path": str(victim),
        "embedding": {"_target_": "dvface.models.autoencoders.blocks.haar_matrix", "levels": 1},
    }
    for model in (
        writer,
        {**original["model"], "refinement": writer},
        {**original["model"], "refinement": {"_target_": "dvface.models.pretrained.NoWeights"}},
        "x",
        {},
        [1],
    ):
        path.write_text(json.dumps({**original, "model": model}))
        with pytest.raises(UserError):
            Restorer.from_pretrained(tmp_path / "model")
    path.write_text("[1]")
    with pytest.raises(UserError):
        Restorer.from_pretrained(tmp_path / "model")
    assert victim.read_text() == "mine"


def test_a_list_in_a_model_description_hides_no_foreign_code(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    smallest_model.save_pretrained(tmp_path, smallest_settings.model)
    config = json.loads((tmp_path / "config.json").read_text())
    for value in ([{"_target_": "builtins.print", "_args_": ["foreign"]}], "${oc.env:HOME}"):
        config["model"]["refinement"]["channels"] = value
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=r"only classes below|interpolation"):
            Restorer.from_pretrained(tmp_path)


def test_weights_of_another_size_are_refused_in_a_sentence(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    tree = {
        **smallest_settings.model,
        "refinement": {**smallest_settings.model["refinement"], "channels": 16},
    }
    smallest_model.save_pretrained(tmp_path, tree)
    with pytest.raises(UserError, match="does not fit"):
        Restorer.from_pretrained(tmp_path)
