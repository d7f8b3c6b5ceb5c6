import re

import pytest
import timm
import torch

from dvface.errors import UserError
from dvface.losses.discriminator import TimmDiscriminator
from dvface.weights import WeightsMissing

CONVNEXT = {"name": "convnext_atto", "depths": [0, 2], "resolution": None}
TRANSFORMER = {"name": "vit_tiny_patch16_224", "depths": [3, 11], "resolution": 48}


@pytest.fixture(scope="module")
def convnext_file(tmp_path_factory):
    """timm's own state dict of the whole classifier, as it publishes it, of random numbers."""
    path = tmp_path_factory.mktemp("weights") / "timm" / "convnext_atto.pth"
    path.parent.mkdir()
    torch.save(timm.create_model("convnext_atto").state_dict(), path)
    return path


def test_each_depth_gives_a_map_of_scores() -> None:
    discriminator = TimmDiscriminator(**CONVNEXT, frozen=False)
    scores = discriminator(torch.randn(2, 3, 64, 96))
    assert [tuple(score.shape) for score in scores] == [(2, 1, 16, 24), (2, 1, 4, 6)]


def test_frames_are_resized_for_a_transformer_of_fixed_size() -> None:
    discriminator = TimmDiscriminator(**TRANSFORMER, frozen=False)
    scores = discriminator(torch.randn(2, 3, 40, 72))
    assert [tuple(score.shape) for score in scores] == [(2, 1, 3, 3), (2, 1, 3, 3)]


def test_it_builds_and_runs_without_memory() -> None:
    with torch.device("meta"):
        discriminator = TimmDiscriminator(**CONVNEXT, frozen=False).eval()
        assert discriminator(torch.empty(1, 3, 64, 64))[1].shape == (1, 1, 4, 4)


def test_a_frozen_backbone_says_what_timms_own_says_and_only_heads_learn(convnext_file) -> None:
    discriminator = TimmDiscriminator(**CONVNEXT, frozen=True, weights=convnext_file).train()
    assert {name.split(".")[0] for name, _ in discriminator.named_parameters()} == {"heads"}
    assert {name.split(".")[0] for name in discriminator.state_dict()} == {"heads"}
    assert not discriminator.backbone.training
    whole = timm.create_model("convnext_atto").eval()
    whole.load_state_dict(torch.load(convnext_file, weights_only=True))
    frames = torch.rand(1, 3, 64, 64)
    mean, deviation = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (frames - mean.view(1, 3, 1, 1)) / deviation.view(1, 3, 1, 1)
    with torch.no_grad():
        features = whole.forward_intermediates(normalised, indices=[0, 2], intermediates_only=True)
        expected = [head(feature) for head, feature in zip(discriminator.heads, features, strict=True)]
        scores = discriminator(2 * frames - 1)
    for score, wanted in zip(scores, expected, strict=True):
        torch.testing.assert_close(score, wanted)


def test_a_backbone_may_start_from_a_file_and_learn(convnext_file) -> None:
    discriminator = TimmDiscriminator(**CONVNEXT, frozen=False, weights=convnext_file)
    stem = torch.load(convnext_file, weights_only=True)["stem.0.weight"]
    parameters = dict(discriminator.named_parameters())
    assert any(torch.equal(value, stem) for value in parameters.values() if value.shape == stem.shape)
    assert len(parameters) > 4


def test_a_frozen_backbone_is_looked_up_in_the_weights_folder(convnext_file, monkeypatch) -> None:
    monkeypatch.setenv("DVFACE_WEIGHTS", str(convnext_file.parent.parent))
    TimmDiscriminator(**CONVNEXT, frozen=True)
    monkeypatch.delenv("DVFACE_WEIGHTS")
    with pytest.raises(WeightsMissing, match=re.escape("timm/convnext_atto.pth")):
        TimmDiscriminator(**CONVNEXT, frozen=True)


def test_the_file_of_another_network_is_refused(convnext_file) -> None:
    with pytest.raises(UserError, match=re.escape("convnext_atto.pth does not fit timm's convnext_femto")):
        TimmDiscriminator("convnext_femto", [0], None, frozen=True, weights=convnext_file)


def test_a_file_that_lacks_tensors_is_refused(convnext_file, tmp_path) -> None:
    state = torch.load(convnext_file, weights_only=True)
    del state["stages.0.blocks.0.gamma"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(UserError, match="does not fit"):
        TimmDiscriminator(**CONVNEXT, frozen=True, weights=tmp_path / "short.pth")


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"name": "convnext_ato"}, "name='convnext_ato' is no model of timm; did you mean 'convnext_atto'"),
        ({"depths": []}, "depths is empty"),
        ({"depths": [0, 9]}, r"depths=\[0, 9\] go beyond"),
        ({"name": "resnet18"}, "name='resnet18' has batch normalisation"),
        ({"name": "vit_tiny_patch16_224"}, "resolution must be given"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence(changed: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TimmDiscriminator(**{**CONVNEXT, "frozen": False, **changed})
