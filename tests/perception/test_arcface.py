import re

import pytest
import torch
from torch import nn

from dvface.errors import UserError
from dvface.perception.arcface import IRSE50, ArcFace
from dvface.weights import WeightsMissing
from dvface.weights.catalogue import ARCFACE_IR_SE50

PUBLISHED_BYTES = 175_367_323
"""The size of facexlib's file."""


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """The published layout with random numbers."""
    torch.manual_seed(0)
    network = IRSE50()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d | nn.BatchNorm1d):
            nn.init.uniform_(module.running_mean, -0.1, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    path = tmp_path_factory.mktemp("arcface") / "random.pth"
    torch.save(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def arcface(weights_file):
    return ArcFace(weights_file)


def test_its_tensors_are_as_many_as_the_published_file_holds() -> None:
    with torch.device("meta"):
        network = IRSE50()
    assert sum(parameter.numel() for parameter in network.parameters()) == 43_797_696
    size = sum(value.numel() * value.element_size() for value in network.state_dict().values())
    assert 0 < PUBLISHED_BYTES - size < 100_000  # 397 names and headers


def test_its_names_are_those_of_the_published_layout() -> None:
    with torch.device("meta"):
        shapes = {key: tuple(value.shape) for key, value in IRSE50().state_dict().items()}
    assert shapes["input_layer.0.weight"] == (64, 3, 3, 3)
    assert shapes["input_layer.2.weight"] == (64,)
    assert shapes["body.3.shortcut_layer.0.weight"] == (128, 64, 1, 1)
    assert shapes["body.23.res_layer.5.fc1.weight"] == (32, 512, 1, 1)
    assert shapes["body.23.res_layer.5.fc2.weight"] == (512, 32, 1, 1)
    assert shapes["output_layer.3.weight"] == (512, 512 * 7 * 7)
    assert shapes["output_layer.4.running_mean"] == (512,)
    blocks = {int(key.split(".")[1]) for key in shapes if key.startswith("body.")}
    assert blocks == set(range(3 + 4 + 14 + 3))
    assert {int(key.split(".")[1]) for key in shapes if "shortcut_layer" in key} == {3, 7, 21}


def test_identities_have_unit_length_and_do_not_depend_on_company(arcface) -> None:
    frames = torch.rand(2, 3, 112, 112) * 2 - 1
    identities = arcface.embed(frames)
    assert identities.shape == (2, 512)
    torch.testing.assert_close(identities.norm(dim=1), torch.ones(2))
    torch.testing.assert_close(arcface.embed(frames[1:]), identities[1:], atol=1e-5, rtol=1e-4)


def test_any_size_is_embedded_at_112_pixels(arcface) -> None:
    frames = torch.rand(1, 3, 112, 112) * 2 - 1
    # a frame of blocks of 2 × 2, halved without aliasing, is nearly the frame that was doubled
    doubled = frames.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
    same, other = arcface.embed(frames), arcface.embed(-frames)
    again = arcface.embed(doubled)
    assert (same * again).sum() > (same * other).sum()
    assert arcface.embed(frames[..., :64, :80]).shape == (1, 512)


def test_gradients_reach_the_frames_and_no_weight(arcface) -> None:
    frames = (torch.rand(2, 3, 64, 64) * 2 - 1).requires_grad_()
    arcface.embed(frames)[0, 0].backward()
    assert frames.grad[0].abs().max() > 0
    assert frames.grad[1].abs().max() == 0
    assert not list(arcface.parameters())
    assert not arcface.state_dict()
    assert not arcface.train().training


def test_the_file_may_lack_the_counters_of_old_batch_norms_and_nothing_else(weights_file, tmp_path, arcface) -> None:
    state = torch.load(weights_file, weights_only=True)
    old = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(old, tmp_path / "old.pth")
    frames = torch.rand(1, 3, 112, 112)
    assert torch.equal(ArcFace(tmp_path / "old.pth").embed(frames), arcface.embed(frames))
    del old["body.5.res_layer.2.weight"]
    torch.save(old, tmp_path / "short.pth")
    with pytest.raises(UserError, match=re.escape("short.pth")):
        ArcFace(tmp_path / "short.pth")


def test_without_its_file_it_says_where_it_looked(monkeypatch) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightsMissing, match=re.escape(ARCFACE_IR_SE50.folder_names[0])):
        ArcFace()
