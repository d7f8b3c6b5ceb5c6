import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models.optical_flow import raft_large

from dvface.errors import UserError
from dvface.perception.optical_flow import RAFT_WEIGHTS, DISFlow, RAFTFlow, visible, warp
from dvface.weights import PackagedFile, WeightsMissing


def portrait():
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    return torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].float() / 127.5 - 1


def moved_pair(x, y, height, width):
    """A crop, and the same crop after everything in it moved by (x, y)."""
    picture = portrait()
    first = picture[..., 60 : 60 + height, 120 : 120 + width]
    second = picture[..., 60 - y : 60 - y + height, 120 - x : 120 - x + width]
    return first, second


def constant_flow(x, y, height=6, width=8):
    return torch.tensor([float(x), float(y)]).view(1, 2, 1, 1).repeat(1, 1, height, width)


def test_warp_takes_each_pixel_from_where_the_flow_points():
    frame = torch.arange(48.0).view(1, 1, 6, 8)
    warped = warp(frame, constant_flow(2, -1))
    assert torch.allclose(warped[..., 1:, :-2], frame[..., :-1, 2:], atol=1e-4)
    # outside, the border repeats
    assert torch.allclose(warped[0, 0, 1:, -1], frame[0, 0, :-1, -1], atol=1e-4)


def test_warp_interpolates_between_pixels():
    frame = torch.tensor([0.0, 10.0, 30.0]).view(1, 1, 1, 3)
    warped = warp(frame, constant_flow(0.5, 0, 1, 3))
    assert torch.allclose(warped.flatten(), torch.tensor([5.0, 20.0, 30.0]), atol=1e-4)


@pytest.mark.parametrize(("slip", "expected"), [(0.70, True), (0.75, False)])
def test_a_pixel_is_visible_while_the_flows_return_to_it(slip, expected):
    # forward 1, backward slip - 1: occluded where slip² > 0.01 (1 + (slip - 1)²) + 0.5, between .71 and .72
    mask = visible(constant_flow(1, 0), constant_flow(slip - 1, 0))
    assert mask.shape == (1, 1, 6, 8)
    assert (mask == expected).all()


@pytest.mark.parametrize(("step", "hidden_column"), [(0.04, None), (0.05, 3)])
def test_a_pixel_at_a_motion_boundary_is_not_visible(step, hidden_column):
    # of still surroundings, so boundary where step² > 0.002: step > 0.0447
    forward = constant_flow(0, 0)
    forward[:, 0, :, 4:] = step
    mask = visible(forward, -forward)
    assert [column for column in range(8) if not mask[0, 0, :, column].all()] == (
        [] if hidden_column is None else [hidden_column]
    )


def test_dis_recovers_a_known_motion_and_its_axes():
    first, second = moved_pair(3, -2, 120, 130)
    flow = DISFlow().flow(first, second)
    assert flow.shape == (1, 2, 120, 130)
    x, y = flow[0, :, 15:-15, 15:-15].flatten(1).median(dim=1).values
    assert (x, y) == (pytest.approx(3, abs=0.1), pytest.approx(-2, abs=0.1))


@pytest.mark.weights
def test_raft_recovers_a_known_motion_at_a_size_it_must_pad():
    try:
        raft = RAFTFlow("small")
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    first, second = moved_pair(3, -2, 100, 133)
    flow = raft.flow(first, second)
    assert flow.shape == (1, 2, 100, 133)
    error = (flow - torch.tensor([3.0, -2.0]).view(1, 2, 1, 1)).norm(dim=1)
    assert error[..., 15:-15, 15:-15].mean() < 0.5
    assert (raft.name, raft.file_name) == ("raft_small", "raft-small.pth")


def original_name(key):
    """torchvision's name of a RAFT tensor -> the name in princeton-vl/RAFT's checkpoints."""
    key = key.replace("feature_encoder", "fnet").replace("context_encoder", "cnet")
    key = re.sub(r"(.net)\.convnormrelu\.0", r"\1.conv1", key)
    key = re.sub(r"(.net)\.convnormrelu\.1", r"\1.norm1", key)
    key = re.sub(r"(.net)\.conv\.", r"\1.conv2.", key)
    key = re.sub(r"convnormrelu(\d)\.0", r"conv\1", key)
    key = re.sub(r"convnormrelu(\d)\.1", r"norm\1", key)
    key = key.replace("motion_encoder.conv.0", "encoder.conv")
    key = re.sub(r"motion_encoder\.conv(.)\w+(\d)\.0", r"encoder.conv\1\2", key)
    key = re.sub(r"recurrent_block\.convgru(\d)\.conv(.)", r"gru.conv\2\1", key)
    key = key.replace("mask_predictor.convrelu.0", "update_block.mask.0")
    return "module." + key.replace("mask_predictor.conv", "update_block.mask.2")


def test_raft_reads_the_original_layout_as_its_own(tmp_path):
    torch.manual_seed(0)
    network = raft_large(weights=None).eval()
    torch.save(network.state_dict(), tmp_path / "torchvision.pth")
    original = {original_name(key): value for key, value in network.state_dict().items()}
    for layer in (2, 3):  # the original stores this norm under a second name too
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            shortcut = original[f"module.cnet.layer{layer}.0.downsample.1.{part}"]
            original[f"module.cnet.layer{layer}.0.norm3.{part}"] = shortcut
    torch.save(original, tmp_path / "original.pth")
    assert {
        "module.update_block.encoder.convc1.weight",
        "module.update_block.gru.convz2.bias",
        "module.update_block.mask.2.weight",
        "module.cnet.layer1.0.norm2.running_var",
    } <= original.keys()
    first, second = moved_pair(2, 1, 128, 128)
    with torch.no_grad():
        expected = network(first, second)[-1]
    owner = nn.Module()
    for layout in ("original", "torchvision"):
        owner.flow = RAFTFlow("large", tmp_path / f"{layout}.pth")
        owner.train()  # its batch norms must not notice
        assert torch.equal(owner.flow.flow(first, second), expected)
    assert not owner.state_dict()
    assert not list(owner.parameters())


def test_raft_without_its_file_says_where_it_looked(monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightsMissing, match=re.escape(RAFT_WEIGHTS["small"].folder_names[0])):
        RAFTFlow("small")


@pytest.mark.parametrize("content", [b"not weights", None])
def test_raft_refuses_another_file_in_a_sentence(tmp_path, content):
    path = tmp_path / "wrong.pth"
    if content:
        path.write_bytes(content)
    else:
        torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=re.escape("wrong.pth")):
        RAFTFlow("small", path)
