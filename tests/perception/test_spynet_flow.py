import re

import numpy as np
import pytest
import torch
from PIL import Image

from dvface.errors import UserError
from dvface.perception.optical_flow import DISFlow, visible, warp
from dvface.perception.raft import RAFTFlow
from dvface.perception.spynet import SPyNetFlow
from dvface.weights import PackagedFile, WeightsMissing
from dvface.weights.catalogue import SPYNET_BASICVSR

CHANNELS = (8, 32, 64, 32, 16, 2)


def blank_state():
    """The tensors of the published file, named as there, without any content."""
    state = {"mean": torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)}
    state["std"] = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)
    for level in range(6):
        for layer in range(5):
            name = f"basic_module.{level}.basic_module.{2 * layer}"
            state[f"{name}.weight"] = torch.zeros(CHANNELS[layer + 1], CHANNELS[layer], 7, 7)
            state[f"{name}.bias"] = torch.zeros(CHANNELS[layer + 1])
    return state


def network(state, tmp_path):
    torch.save(state, tmp_path / "spynet.pth")
    return SPyNetFlow(tmp_path / "spynet.pth")


def published():
    try:
        return SPyNetFlow()
    except WeightsMissing as missing:
        pytest.skip(str(missing))


def moved_pair(x, y, height, width):
    """A crop, and the same crop after everything in it moved by (x, y)."""
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    picture = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].float() / 127.5 - 1
    first = picture[..., 60 : 60 + height, 120 : 120 + width]
    second = picture[..., 60 - y : 60 - y + height, 120 - x : 120 - x + width]
    return first, second


@pytest.mark.parametrize(("height", "width"), [(64, 96), (32, 32), (50, 90)])
def test_what_a_level_adds_counts_twice_as_much_at_each_finer_one(tmp_path, height, width):
    state = blank_state()
    for level in range(6):
        state[f"basic_module.{level}.basic_module.8.bias"] += torch.tensor([0.1 * (level + 1), -0.01])
    flow = network(state, tmp_path).flow(*moved_pair(1, 1, height, width))
    assert flow.shape == (1, 2, height, width)
    # 0.1·32 + 0.2·16 + 0.3·8 + 0.4·4 + 0.5·2 + 0.6 pixels of the frames stretched to multiples of 32
    x, y = (12.0, -0.63)
    scale_x, scale_y = width / (-(-width // 32) * 32), height / (-(-height // 32) * 32)
    assert torch.allclose(flow[:, 0], torch.tensor(x * scale_x), atol=1e-4)
    assert torch.allclose(flow[:, 1], torch.tensor(y * scale_y), atol=1e-4)


@pytest.mark.parametrize(("channel", "deviation"), [(0, 0.229), (1, 0.224), (2, 0.225)])
def test_the_finest_level_sees_the_normalised_frame_and_the_other_one_warped_by_the_flow_so_far(
    tmp_path, channel, deviation
):
    state = blank_state()
    state["basic_module.4.basic_module.8.bias"] += torch.tensor([1.0, -1.5])  # (2, -3) pixels one level on
    centre = (slice(None), slice(None), 3, 3)
    # a channel of the frame less that of the other one goes through all layers, ten up so as to stay positive
    first = torch.zeros(32, 8)
    first[0, channel], first[0, 3 + channel] = 1, -1
    state["basic_module.5.basic_module.0.weight"][centre] = first
    state["basic_module.5.basic_module.0.bias"][0] = 10
    for layer in (2, 4, 6):
        state[f"basic_module.5.basic_module.{layer}.weight"][0, 0, 3, 3] = 1
    state["basic_module.5.basic_module.8.weight"][0, 0, 3, 3] = 1
    state["basic_module.5.basic_module.8.bias"][0] = -10
    spynet = network(state, tmp_path)
    one, other = moved_pair(2, -3, 64, 64)
    flow = spynet.flow(one, other)[..., 4:-4, 4:-4]
    assert torch.allclose(flow, torch.tensor([2.0, -3.0]).view(1, 2, 1, 1), atol=1e-4)
    wrong = spynet.flow(one, one)[:, :1, 4:-4, 4:-4]
    moved_back = warp(one, torch.tensor([2.0, -3.0]).view(1, 2, 1, 1).expand(1, 2, 64, 64))
    difference = (one - moved_back)[:, channel : channel + 1, 4:-4, 4:-4] / 2 / deviation
    assert torch.allclose(wrong, 2 + difference, atol=1e-4)


@pytest.mark.weights
@pytest.mark.parametrize(("x", "y"), [(3, -2), (-7, 4), (0, 0)])
def test_a_known_motion_is_recovered(x, y):
    spynet = published()
    first, second = moved_pair(x, y, 100, 133)
    flow = spynet.flow(first, second)
    assert flow.shape == (1, 2, 100, 133)
    median = flow[0, :, 15:-15, 15:-15].flatten(1).median(dim=1).values
    assert torch.allclose(median, torch.tensor([float(x), float(y)]), atol=0.25)
    assert (spynet.name, spynet.file_name) == ("spynet", "spynet_basicvsr.pth")


@pytest.mark.weights
def test_on_real_footage_it_sees_what_others_see_and_explains_the_next_frame(carphone):
    spynet = published()
    frames = torch.from_numpy(carphone[[40, 44]]).permute(0, 3, 1, 2).float() / 127.5 - 1
    first, second = frames[:1], frames[1:2]
    found = {estimator.name: estimator.flow(first, second) for estimator in (spynet, DISFlow(), RAFTFlow("small"))}
    mask = visible(found["spynet"], spynet.flow(second, first))
    assert mask.float().mean() > 0.5

    def left_over(flow):
        return float(((first - warp(second, flow)).square() * mask).sum() / mask.sum())

    moving = found["raft_small"].norm(dim=1, keepdim=True)
    for other in ("dis", "raft_small"):
        apart = (found["spynet"] - found[other]).norm(dim=1, keepdim=True)
        assert apart[mask].mean() < 0.5 * moving[mask].mean() + 0.2
    assert left_over(found["spynet"]) < 0.5 * left_over(torch.zeros_like(found["spynet"]))
    assert left_over(found["spynet"]) < 1.2 * left_over(found["raft_small"])


@pytest.mark.weights
def test_a_pair_has_the_same_flow_alone_as_among_others():
    spynet = published()
    pairs = [moved_pair(x, 1, 64, 96) for x in (1, -4)]
    first, second = (torch.cat(frames) for frames in zip(*pairs, strict=True))
    alone = torch.cat([spynet.flow(*pair) for pair in pairs])
    assert torch.allclose(spynet.flow(first, second), alone, atol=1e-4)


def test_without_its_file_it_says_where_it_looked(monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightsMissing, match=re.escape(SPYNET_BASICVSR.folder_names[0])):
        SPyNetFlow()


def test_another_networks_file_is_refused_in_a_sentence(tmp_path):
    state = blank_state()
    del state["basic_module.5.basic_module.8.bias"]
    with pytest.raises(UserError, match=r"spynet\.pth does not fit SPyNetFlow"):
        network(state, tmp_path)


def test_no_owner_trains_or_saves_it(tmp_path):
    spynet = network(blank_state(), tmp_path)
    assert not list(spynet.parameters())
    assert not spynet.state_dict()
