import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torchvision.models.optical_flow import raft_large, raft_small

from dvface.errors import UserError
from dvface.perception.raft import RAFT_WEIGHTS, RAFTFlow
from dvface.weights import PackagedFile, WeightsMissing


def moved_pair(x, y, height, width):
    """A crop, and the same crop after everything in it moved by (x, y)."""
    path = PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()
    picture = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)[None].float() / 127.5 - 1
    first = picture[..., 60 : 60 + height, 120 : 120 + width]
    second = picture[..., 60 - y : 60 - y + height, 120 - x : 120 - x + width]
    return first, second


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


@pytest.fixture(scope="module")
def large():
    torch.manual_seed(0)
    return raft_large(weights=None).eval()


@pytest.fixture(scope="module")
def folder(large, tmp_path_factory):
    """A weights folder with a random RAFT-large in the layout of raft-things.pth, and beside it torchvision's."""
    folder = tmp_path_factory.mktemp("weights")
    (folder / "raft_large").mkdir()
    torch.save(large.state_dict(), folder / "torchvision.pth")
    original = {original_name(key): value for key, value in large.state_dict().items()}
    for layer in (2, 3):  # the original stores this norm under a second name too
        for part in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked"):
            shortcut = original[f"module.cnet.layer{layer}.0.downsample.1.{part}"]
            original[f"module.cnet.layer{layer}.0.norm3.{part}"] = shortcut
    assert {
        "module.update_block.encoder.convc1.weight",
        "module.update_block.gru.convz2.bias",
        "module.update_block.mask.2.weight",
        "module.cnet.layer1.0.norm2.running_var",
    } <= original.keys()
    torch.save(original, folder / "raft_large" / "raft-things.pth")
    return folder


def test_raft_reads_the_original_layout_as_its_own(large, folder, monkeypatch):
    monkeypatch.setenv("DVFACE_WEIGHTS", str(folder))
    first, second = moved_pair(2, 1, 128, 128)
    with torch.no_grad():
        expected = large(first, second)[-1]
    owner = nn.Module()
    for weights in (None, folder / "torchvision.pth"):
        owner.flow = RAFTFlow("large", weights=weights)
        owner.train()  # its batch norms must not notice
        torch.testing.assert_close(
            owner.flow.flow(first, second), expected, atol=1e-3, rtol=1e-4
        )  # layouts in memory differ
    assert not owner.state_dict()
    assert not list(owner.parameters())


@pytest.mark.parametrize("updates", [1, 3])
def test_the_flow_is_the_last_of_as_many_updates_as_asked_for(large, folder, updates):
    first, second = moved_pair(2, 1, 128, 128)
    raft = RAFTFlow("large", updates, folder / "torchvision.pth")
    with torch.no_grad():
        after_each = large(first, second)
    torch.testing.assert_close(
        raft.flow(first, second), after_each[updates - 1], atol=1e-3, rtol=1e-4
    )  # layouts in memory differ


def test_no_update_is_a_mistake(folder):
    with pytest.raises(ValueError, match="updates=0"):
        RAFTFlow("large", 0, folder / "torchvision.pth")


def test_torchvisions_port_of_the_authors_file_is_found_too(tmp_path, monkeypatch):
    (tmp_path / "raft_small").mkdir()
    torch.save(raft_small(weights=None).state_dict(), tmp_path / "raft_small" / "raft_small_C_T_V1-ad48884c.pth")
    monkeypatch.setenv("DVFACE_WEIGHTS", str(tmp_path))
    assert RAFTFlow("small").file_name == "raft_small_C_T_V1-ad48884c.pth"


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


@pytest.mark.parametrize("size", ["small", "large"])
def test_raft_without_its_file_says_where_it_looked(monkeypatch, size):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    with pytest.raises(WeightsMissing, match=re.escape(RAFT_WEIGHTS[size].folder_names[0])):
        RAFTFlow(size)


@pytest.mark.parametrize("content", [b"not weights", None])
def test_raft_refuses_another_file_in_a_sentence(tmp_path, content):
    path = tmp_path / "wrong.pth"
    if content:
        path.write_bytes(content)
    else:
        torch.save({"weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match=re.escape("wrong.pth")):
        RAFTFlow("small", weights=path)
