import pytest
import torch
from tests.metrics.pictures import as_clip, clean_and_worse, made_up_alexnet
from torch import nn
from torchmetrics.functional.image import dists as reference
from torchvision.models import vgg

from dvface.config.compose import load, resolve
from dvface.evaluation.measure import metric_factories
from dvface.metrics.perceptual import PerceptualDistance
from dvface.metrics.suite import MetricSuite
from dvface.perception.texture import DISTS


def chosen(*names):
    return MetricSuite(metric_factories(resolve(load("train", [f"metrics=[{','.join(names)}]"]))["metrics"]))


@pytest.fixture
def nowhere(monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)


def test_a_measure_whose_trunk_is_missing_is_left_out_by_name_and_its_shift_tolerant_twin_is_not(nowhere):
    suite = chosen("dists", "lpips_alex", "lpips_vgg", "tlpips", "tstlpips_alex")
    assert suite.metrics.keys() == {"tstlpips_alex"}
    assert suite.left_out.keys() == {"dists", "lpips_alex", "lpips_vgg", "tlpips"}
    assert all("ImageNet" in reason for reason in suite.left_out.values())


def test_measures_of_one_network_hold_one_network(nowhere):
    suite = chosen("stlpips_alex", "tstlpips_alex")
    first, second = (suite.metrics[name].network for name in ("stlpips_alex", "tstlpips_alex"))
    assert first is second


def test_the_configured_measures_measure(tmp_path, monkeypatch):
    monkeypatch.setenv("DVFACE_WEIGHTS", str(tmp_path))
    (tmp_path / "lpips").mkdir()
    torch.save(made_up_alexnet(), tmp_path / "lpips/alexnet-owt-7be5be79.pth")
    suite = chosen("psnr", "psnr_y", "ssim", "ms_ssim", "lpips_alex", "tlpips", "frame_difference")
    clean, worse = map(as_clip, clean_and_worse(2, side=180))
    suite.update(worse, clean)
    values = suite.compute()
    assert values.keys() == suite.metrics.keys()
    assert len(values) == 7
    assert 25 < values["psnr"] < values["psnr_y"] < 35
    assert 0.5 < values["ssim"] < values["ms_ssim"] < 1
    assert min(values.values()) > 0
    assert suite.metrics["lpips_alex"].file_name == suite.metrics["tlpips"].file_name == "alexnet-owt-7be5be79.pth"


def test_dists_is_the_mean_of_torchmetrics_numbers_over_frames(tmp_path, monkeypatch):
    trunk = vgg.make_layers(vgg.cfgs["D"], batch_norm=False)
    for layer in trunk:
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
    torch.save({f"features.{key}": value for key, value in trunk.state_dict().items()}, tmp_path / "vgg16.pth")

    class Carrier:
        features = trunk

    monkeypatch.setattr(reference, "vgg16", lambda weights: Carrier())  # it would download
    clean, worse = map(as_clip, clean_and_worse(3, top=60, left=170, side=64))
    first, second = ((clip[0].transpose(0, 1) + 1) / 2 for clip in (worse, clean))
    with torch.no_grad():
        expected = reference.DISTSNetwork()(first, second).mean().item()
    metric = PerceptualDistance(DISTS(tmp_path / "vgg16.pth"), "dists")
    metric.update(worse, clean)
    assert expected > 0.005
    assert metric.compute().item() == pytest.approx(expected, rel=1e-4)
