import re

import pytest
import torch
from tests.perception.formula import formula_state, numbers
from torch import nn

from dvface.errors import UserError
from dvface.perception.i3d import I3D, InceptionI3D, prepared
from dvface.weights import WeightsMissing

# Made with torch 2.15.0 by pytorch_i3d.py of github.com/piergiaj/pytorch-i3d (commit b49fadf) on `formula_state` of its
# own shapes, in evaluation mode, the mean over time of InceptionI3d(400)(x), every 57th number; x is made of
# `numbers` in [0, 1] by `preprocess_single` of github.com/JunyaoHu/common_metrics_on_video_quality, fvd/styleganv.
GOLDEN = {
    "16 wide frames": (
        (1, 3, 16, 48, 80),
        1000,
        [2.8536241, 7.4334116, -5.5188098, 6.5743160, 1.3636050, -0.3774175, 1.7717443, 2.9642122],
        92.0345442,
    ),
    "10 high frames": (
        (1, 3, 10, 81, 50),
        1001,
        [2.1754136, 6.3596807, -3.8639567, 5.9519920, 1.1518970, -0.2244876, 2.8788083, 2.3939908],
        76.2272345,
    ),
}


def shapes():
    with torch.device("meta"):
        state = InceptionI3D().state_dict()
    return {name: tuple(value.shape) for name, value in state.items() if not name.endswith("num_batches_tracked")}


@pytest.fixture(scope="module")
def weights_file(tmp_path_factory):
    """The published layout with numbers made by a formula; like the published file without counters."""
    path = tmp_path_factory.mktemp("i3d") / "formula.pt"
    torch.save(formula_state(shapes()), path)
    return path


@pytest.fixture(scope="module")
def i3d(weights_file):
    return I3D(weights_file)


def test_names_and_shapes_are_those_of_the_published_layout() -> None:
    found = shapes()
    units = {name.removesuffix(".conv3d.weight") for name in found if name.endswith(".conv3d.weight")}
    blocks = ("3b", "3c", "4b", "4c", "4d", "4e", "4f", "5b", "5c")
    branches = {f"Mixed_{block}.{branch}" for block in blocks for branch in ("b0", "b1a", "b1b", "b2a", "b2b", "b3b")}
    assert units == {"Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3", "logits", *branches}
    assert len(found) == 5 * (len(units) - 1) + 2
    assert found["Conv3d_1a_7x7.conv3d.weight"] == (64, 3, 7, 7, 7)
    assert found["Mixed_3b.b1b.conv3d.weight"] == (128, 96, 3, 3, 3)
    assert found["Mixed_4e.b2b.bn.running_var"] == (64,)
    assert found["Mixed_5c.b0.conv3d.weight"] == (384, 832, 1, 1, 1)
    assert found["logits.conv3d.weight"] == (400, 1024, 1, 1, 1)
    assert found["logits.conv3d.bias"] == (400,)


def test_it_has_as_many_parameters_as_the_reference_implementation() -> None:
    with torch.device("meta"):
        assert sum(parameter.numel() for parameter in InceptionI3D().parameters()) == 12_697_264


@pytest.mark.parametrize("case", GOLDEN)
def test_logits_are_those_of_the_reference_implementation(i3d, case) -> None:
    shape, seed, expected, length = GOLDEN[case]
    logits = i3d.features(torch.from_numpy(numbers(shape, seed)).float())
    assert logits.shape == (1, 400)
    torch.testing.assert_close(logits[0, ::57], torch.tensor(expected), rtol=1e-4, atol=1e-4)
    assert float(logits.double().norm()) == pytest.approx(length, rel=1e-5)


def test_frames_are_shrunk_to_the_short_side_and_cropped_in_the_middle() -> None:
    wide = torch.rand(1, 3, 2, 224, 301)
    assert torch.equal(prepared(wide), wide[..., 38:262])
    high = torch.rand(2, 3, 1, 301, 224)
    assert torch.equal(prepared(high), high[..., 38:262, :])
    # every second pixel: twice the size is read between four equal ones
    doubled = wide.repeat_interleave(2, dim=3).repeat_interleave(2, dim=4)
    torch.testing.assert_close(prepared(doubled), wide[..., 38:262])


def test_a_clip_does_not_depend_on_its_company_nor_on_autocast(i3d) -> None:
    clips = torch.rand(2, 3, 9, 32, 32) * 2 - 1
    together = i3d.features(clips)
    with torch.autocast("cpu", torch.bfloat16):
        alone = i3d.features(clips[1:])
    assert alone.dtype == torch.float32
    torch.testing.assert_close(alone, together[1:], rtol=1e-4, atol=1e-4)


def test_it_is_invisible_to_its_owner(i3d) -> None:
    assert not list(i3d.parameters())
    assert not i3d.state_dict()
    assert not i3d.train().training


def test_another_networks_file_is_refused(weights_file, tmp_path) -> None:
    state = torch.load(weights_file, weights_only=True)
    del state["Mixed_4c.b3b.bn.running_mean"]
    torch.save(state, tmp_path / "short.pt")
    with pytest.raises(UserError, match=re.escape("short.pt")):
        I3D(tmp_path / "short.pt")


def test_a_torchscript_program_is_refused_and_says_what_to_give_instead(tmp_path) -> None:
    torch.jit.save(torch.jit.script(nn.Conv3d(1, 1, 1)), tmp_path / "i3d_torchscript.pt")
    with pytest.raises(UserError, match=r"i3d_torchscript\.pt is a TorchScript program.*give i3d_pretrained_400\.pt"):
        I3D(tmp_path / "i3d_torchscript.pt")


def test_without_its_file_it_says_where_it_looked(monkeypatch, tmp_path) -> None:
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(WeightsMissing, match=re.escape("i3d/i3d_pretrained_400.pt")):
        I3D()


@pytest.mark.weights
def test_the_published_file_fits_and_frames_are_no_constant_to_it(carphone) -> None:
    try:
        i3d = I3D()
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    clip = torch.from_numpy(carphone[:16]).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    still = clip[:, :, :1].expand_as(clip)
    moving, standing = i3d.features(clip), i3d.features(still)
    assert moving.isfinite().all()
    assert (moving - standing).norm() > 0.01 * standing.norm()
