import re

import pytest
import torch
from torch import nn
from torchmetrics.functional.image import dists as reference
from torchvision.models import vgg

from dvface.errors import UserError
from dvface.perception.texture import DISTS
from dvface.weights import WeightsMissing


@pytest.fixture(scope="module")
def trunk():
    """VGG-16's convolutions as torchvision builds them, of random numbers; the classifier plays no part."""
    torch.manual_seed(0)
    layers = vgg.make_layers(vgg.cfgs["D"], batch_norm=False)
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.normal_(layer.bias, std=0.1)
    return layers


@pytest.fixture(scope="module")
def trunk_file(trunk, tmp_path_factory):
    path = tmp_path_factory.mktemp("dists") / "vgg16.pth"
    state = {f"features.{key}": value for key, value in trunk.state_dict().items()}
    torch.save({**state, "classifier.0.weight": torch.zeros(1)}, path)
    return path


@pytest.fixture(scope="module")
def network(trunk_file):
    return DISTS(trunk_file)


def patterns(height=48, width=56):
    """Pairs of synthetic frames in [-1, 1]: different, alike but dimmed, equal but shifted."""
    y, x = torch.meshgrid(torch.arange(float(height)), torch.arange(float(width)), indexing="ij")
    first = torch.stack((torch.sin(x / 5) * torch.cos(y / 7), torch.sin((x + y) / 9), torch.cos(x * y / 300)))
    other = torch.stack((torch.cos(x / 4) * torch.cos(y / 7), torch.sin((x - y) / 9), torch.sin(x * y / 200)))
    return torch.stack((first, first, first)), torch.stack((other, 0.5 * first, first.roll(3, dims=-1)))


def test_it_is_that_of_torchmetrics_on_the_same_trunk(trunk, network, monkeypatch) -> None:
    class Carrier:
        features = trunk

    monkeypatch.setattr(reference, "vgg16", lambda weights: Carrier())  # it would download
    theirs = reference.DISTSNetwork()
    first, second = patterns()
    with torch.no_grad():
        expected = theirs((first + 1) / 2, (second + 1) / 2)
    assert expected.min() > 0.01
    torch.testing.assert_close(network(first, second), expected, rtol=1e-3, atol=1e-5)


def test_it_is_zero_for_equal_frames_symmetric_and_in_range(network) -> None:
    first, second = patterns()
    assert network(first, first).abs().max() == 0
    torch.testing.assert_close(network(first, second), network(second, first))
    distance = network(first, second)
    assert distance.shape == (3,)
    assert (distance > 0).all()
    assert (distance < 2).all()


def test_it_forgives_texture_that_is_drawn_anew_where_a_pixel_distance_does_not(network) -> None:
    texture = 0.5 * torch.randn(1, 3, 48, 48)
    again, flat = 0.5 * torch.randn(1, 3, 48, 48), torch.zeros(1, 3, 48, 48)
    # by squared error the flat frame is nearer
    assert (texture - flat).square().mean() < (texture - again).square().mean()
    assert network(texture, again) < network(texture, flat)


def test_gradients_are_finite_and_reach_both_inputs_also_between_equal_frames(network) -> None:
    first, second = (frames.requires_grad_() for frames in patterns())
    network(first, second).sum().backward()
    for frames in (first, second):
        assert frames.grad.isfinite().all()
        assert (frames.grad.flatten(1).norm(dim=1) > 0).all()
    flat = torch.zeros(1, 3, 16, 16, requires_grad=True)
    network(flat, flat.detach()).sum().backward()
    assert flat.grad.isfinite().all()


def test_half_precision_does_not_change_it(network) -> None:
    first, second = patterns()
    with torch.autocast("cpu", torch.bfloat16):
        mixed = network(first, second)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, network(first, second))


def test_the_network_is_invisible_to_its_owner(network) -> None:
    owner = nn.Linear(2, 2)
    owner.distance = network
    assert set(owner.state_dict()) == {"weight", "bias"}
    assert len(list(owner.parameters())) == 2
    assert network.file_name == "vgg16.pth"


def test_its_trunk_is_missing_and_not_replaced(monkeypatch) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightsMissing, match="VGG-16"):
        DISTS()


@pytest.mark.parametrize("left_out", [0, 28])  # the first convolution and the last
def test_another_networks_file_is_refused(trunk_file, tmp_path, left_out) -> None:
    state = torch.load(trunk_file, weights_only=True)
    del state[f"features.{left_out}.weight"]
    torch.save(state, tmp_path / "short.pth")
    with pytest.raises(UserError, match=re.escape("short.pth")):
        DISTS(tmp_path / "short.pth")
