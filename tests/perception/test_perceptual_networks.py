import re

import pytest
import torch
from torch import nn
from torchmetrics.functional.image.lpips import _LPIPS

from dvface.errors import UserError
from dvface.perception.perceptual import LPIPS, SHIFT_TOLERANT_WEIGHTS, ShiftTolerantLPIPS
from dvface.weights import WeightsMissing

NETWORKS = ("alex", "vgg")


def packaged(network):
    return SHIFT_TOLERANT_WEIGHTS[network].packaged.locate()


def patterns():
    """Two pairs of synthetic frames, (2, 3, 64, 80) in [-1, 1]."""
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(80.0), indexing="ij")
    waves = (torch.sin(x / 5) * torch.cos(y / 7), torch.sin((x + y) / 9), torch.cos(x * y / 300))
    other = (torch.cos(x / 4) * torch.cos(y / 7), torch.sin((x - y) / 9), torch.sin(x * y / 200))
    first, second = torch.stack(waves), torch.stack(other)
    return torch.stack((first, first)), torch.stack((second, 0.5 * first + 0.1 * second))


@pytest.mark.parametrize(("network", "expected"), [("alex", [0.4179550, 0.0894217]), ("vgg", [0.4801024, 0.3219164])])
def test_shift_tolerant_distance_is_that_of_the_authors_package(network, expected):
    # the numbers come from stlpips-pytorch 0.0.2's own class, run once on the same frames
    distance = ShiftTolerantLPIPS(network, packaged(network))(*patterns())
    assert distance.tolist() == pytest.approx(expected, abs=2e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_lpips_is_that_of_torchmetrics_on_the_same_backbone(network, tmp_path):
    torch.manual_seed(0)
    reference = _LPIPS(pretrained=True, net=network, pnet_rand=True)  # packaged heads, random backbone
    backbone = {re.sub(r"slice\d", "features", key): value for key, value in reference.net.state_dict().items()}
    path = tmp_path / "backbone.pth"
    torch.save({**backbone, "classifier.1.weight": torch.zeros(1)}, path)
    ours = LPIPS(network, path)
    first, second = patterns()
    with torch.no_grad():
        expected = reference(first, second).flatten()
    assert ours(first, second).tolist() == pytest.approx(expected.tolist(), rel=1e-3)
    assert ours.file_name == "backbone.pth"


def test_the_distance_of_a_frame_to_itself_is_zero_and_symmetric():
    network = ShiftTolerantLPIPS("alex", packaged("alex"))
    first, second = patterns()
    assert network(first, first).abs().max() == 0
    assert torch.allclose(network(first, second), network(second, first))


def test_gradients_reach_both_inputs():
    network = ShiftTolerantLPIPS("alex", packaged("alex"))
    first, second = (frames.requires_grad_() for frames in patterns())
    network(first, second).sum().backward()
    for frames in (first, second):
        assert (frames.grad.flatten(1).norm(dim=1) > 0).all()


def test_where_no_feature_fires_the_distance_is_zero_and_gradients_are_finite(tmp_path):
    state = torch.load(packaged("alex"), map_location="cpu", weights_only=True)
    state = {key: value - 1e3 if key.endswith("bias") else value for key, value in state.items()}
    torch.save(state, tmp_path / "dead.pth")
    first, second = (frames.requires_grad_() for frames in patterns())
    distance = ShiftTolerantLPIPS("alex", tmp_path / "dead.pth")(first, second)
    distance.sum().backward()
    assert distance.tolist() == [0, 0]
    assert first.grad.isfinite().all()
    assert second.grad.isfinite().all()


def test_the_network_is_invisible_to_its_owner_yet_moves_with_it():
    owner = nn.Linear(2, 2)
    keys = set(owner.state_dict())
    owner.distance = ShiftTolerantLPIPS("alex", packaged("alex"))
    assert set(owner.state_dict()) == keys
    assert len(list(owner.parameters())) == 2
    assert not owner.train().distance.training
    first, second = (frames.double() for frames in patterns())
    distance = owner.double().distance(first, second)
    assert distance.dtype == torch.float64
    assert distance.tolist() == pytest.approx([0.4179550, 0.0894217], abs=2e-6)


def test_a_half_precision_file_is_read_at_full_precision(tmp_path):
    state = torch.load(packaged("alex"), map_location="cpu", weights_only=True)
    torch.save({key: value.half() for key, value in state.items()}, tmp_path / "half.pth")
    distance = ShiftTolerantLPIPS("alex", tmp_path / "half.pth")(*patterns())
    assert distance.dtype == torch.float32
    assert distance.tolist() == pytest.approx([0.4179550, 0.0894217], rel=5e-3)


def test_the_file_of_another_network_is_refused_by_name():
    with pytest.raises(UserError, match=re.escape("vgg_shift_tolerant.pth")):
        ShiftTolerantLPIPS("alex", packaged("vgg"))


@pytest.mark.parametrize("network", NETWORKS)
def test_lpips_without_its_backbone_is_missing_and_not_replaced(network, monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightsMissing, match="ImageNet"):
        LPIPS(network)
