import re

import pytest
import torch
from tests.perception.formula import formula_state, numbers
from torchvision.models import inception_v3

from dvface.errors import UserError
from dvface.perception.inception import FIDInception, inception_of_fid
from dvface.weights import WeightsMissing

PUBLISHED_BYTES = 95_628_359
"""The size of pytorch-fid's file."""
# Made with pytorch-fid 0.3.0, torch 2.15.0: pytorch_fid.inception.InceptionV3([3]).eval() with `formula_state` of its
# own shapes for its download, on `numbers((2, 3, 48, 80), 1000)` mapped to [0, 1]; every 293rd of 2048 features.
GOLDEN = [
    [11.4571781, 3.7464213, 3.1101243, 2.0407877, 1.9807020, 5.0784159, 0.3750231],
    [11.6780138, 3.7308843, 3.1655269, 1.9786717, 1.9983939, 5.2038765, 0.3901425],
]
GOLDEN_LENGTHS = [139.9318589, 141.3202973]


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """The published layout with numbers made by a formula."""
    with torch.device("meta"):
        state = inception_of_fid().state_dict()
    path = tmp_path_factory.mktemp("inception") / "formula.pth"
    torch.save(formula_state({name: tuple(value.shape) for name, value in state.items()}), path)
    return path


@pytest.fixture(scope="module")
def network(weights_file):
    return FIDInception(weights_file)


@pytest.fixture(scope="module")
def frames():
    return torch.from_numpy(numbers((2, 3, 48, 80), 1000)).float()


def test_its_tensors_are_as_many_as_the_published_file_holds() -> None:
    with torch.device("meta"):
        state = inception_of_fid().state_dict()
        torchvisions = inception_v3(num_classes=1008, aux_logits=False, init_weights=False).state_dict()
    assert [(name, value.shape) for name, value in state.items()] == [
        (name, value.shape) for name, value in torchvisions.items()
    ]
    assert len(state) == 566
    size = sum(value.numel() * value.element_size() for value in state.values())
    assert 0 < PUBLISHED_BYTES - size < 100_000  # names and headers


def test_features_are_those_of_pytorch_fid(network, frames) -> None:
    features = network.features(frames)
    assert features.shape == (2, 2048)
    torch.testing.assert_close(features[:, ::293], torch.tensor(GOLDEN), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.norm(dim=1), torch.tensor(GOLDEN_LENGTHS), rtol=1e-5, atol=0)


def test_its_pools_are_not_torchvisions(network, weights_file, frames) -> None:
    other = inception_v3(num_classes=1008, aux_logits=False, init_weights=False)
    other.load_state_dict(torch.load(weights_file, weights_only=True))
    other.fc = torch.nn.Identity()
    pictures = torch.nn.functional.interpolate(frames, (299, 299), mode="bilinear")
    assert (other.eval()(pictures) - network.features(frames)).abs().max() > 0.01


def test_a_frame_does_not_depend_on_its_company_nor_on_autocast(network, frames) -> None:
    together = network.features(frames)
    with torch.autocast("cpu", torch.bfloat16):
        alone = network.features(frames[1:])
    assert alone.dtype == torch.float32
    torch.testing.assert_close(alone, together[1:], rtol=1e-4, atol=1e-4)


def test_it_is_invisible_to_its_owner(network) -> None:
    assert not list(network.parameters())
    assert not network.state_dict()
    assert not network.train().training


def test_another_networks_file_is_refused(tmp_path) -> None:
    torch.save({"fc.weight": torch.zeros(1000, 2048)}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=re.escape("other.pth")):
        FIDInception(tmp_path / "other.pth")


def test_without_its_file_it_says_where_it_looked(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing, match=re.escape("inception/pt_inception-2015-12-05-6726825d.pth")):
        FIDInception()


@pytest.mark.weights
def test_the_published_file_fits_and_tells_pictures_apart(carphone) -> None:
    try:
        network = FIDInception()
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    near, far = (torch.from_numpy(carphone[number]) for number in (1, 110))
    pictures = torch.stack([torch.from_numpy(carphone[0]), near, far]).permute(0, 3, 1, 2).float() / 127.5 - 1
    first, second, last = network.features(pictures)
    assert (first - second).norm() < (first - last).norm()
