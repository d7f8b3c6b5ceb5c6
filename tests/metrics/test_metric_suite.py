import pytest
import torch

from dvface.errors import UserError
from dvface.metrics.flicker import FrameDifferenceError
from dvface.metrics.perceptual import PerceptualDistance
from dvface.metrics.psnr import PSNR
from dvface.metrics.suite import MetricSuite
from dvface.metrics.warping import WarpingError
from dvface.perception.optical_flow import DISFlow
from dvface.perception.perceptual import LPIPS, SHIFT_TOLERANT_WEIGHTS, ShiftTolerantLPIPS


def shift_tolerant():
    path = SHIFT_TOLERANT_WEIGHTS["alex"].packaged.locate()
    return PerceptualDistance(ShiftTolerantLPIPS("alex", path), "stlpips_alex")


def lpips():
    return PerceptualDistance(LPIPS("alex"), "lpips_alex")


def clips(batch=1, frames=3):
    return torch.rand((batch, 3, frames, 40, 40), generator=torch.Generator().manual_seed(0)) * 1.6 - 0.8


def test_a_measure_whose_network_is_missing_is_left_out_by_name(monkeypatch):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    suite = MetricSuite({"psnr": PSNR, "stlpips_alex": shift_tolerant, "lpips_alex": lpips})
    clean = clips()
    suite.update(clean + 0.2, clean)
    means = suite.compute()
    assert means.keys() == {"psnr", "stlpips_alex"}
    assert means["psnr"] == pytest.approx(20, abs=1e-3)
    assert means["stlpips_alex"] > 0
    assert suite.left_out.keys() == {"lpips_alex"}
    assert "alexnet-owt-7be5be79.pth" in suite.left_out["lpips_alex"]
    assert suite.networks == {"psnr": None, "stlpips_alex": "alex_shift_tolerant.pth"}


def test_a_measure_cannot_pass_under_another_name():
    with pytest.raises(UserError, match=r"metrics\.lpips is the measure stlpips_alex"):
        MetricSuite({"lpips": shift_tolerant})


def test_without_clean_clips_only_measures_that_need_none_have_a_value():
    suite = MetricSuite({"psnr": PSNR, "ewarp_dis": lambda: WarpingError(DISFlow(), "ewarp_dis")})
    suite.update(clips())
    assert suite.compute().keys() == {"ewarp_dis"}
    assert "clean" in suite.left_out["psnr"]


def test_values_that_are_no_numbers_are_left_out_with_their_reason():
    suite = MetricSuite({"psnr": PSNR, "frame_difference": FrameDifferenceError})
    clean = clips(frames=1)
    suite.update(clean * torch.nan, clean)
    suite.update(clean, clean)
    assert suite.compute() == {}
    assert "not finite" in suite.left_out["psnr"]
    suite.reset()
    suite.update(clean, clean)
    assert suite.compute() == {"psnr": 100}
    assert suite.left_out == {"frame_difference": "none of the 1 clips gave it an answer"}
    assert suite.skipped == {"frame_difference": 1}


def test_each_clip_has_its_own_numbers_where_it_gave_an_answer():
    suite = MetricSuite({"psnr": PSNR, "frame_difference": FrameDifferenceError})
    clean, still = clips(batch=2), clips(frames=1)
    brighter = clean + torch.tensor([0.2, 0.02]).reshape(2, 1, 1, 1, 1)
    numbers = [suite.of_clip(evidence) for evidence in suite.update(brighter, clean) + suite.update(still, still)]
    assert [one["psnr"] for one in numbers] == pytest.approx([20, 40, 100], abs=1e-2)
    assert [one.keys() for one in numbers] == [{"psnr", "frame_difference"}] * 2 + [{"psnr"}]
    assert suite.compute()["psnr"] == pytest.approx(sum(one["psnr"] for one in numbers) / 3)


def test_reset_forgets_clips_and_reasons():
    suite = MetricSuite({"frame_difference": FrameDifferenceError})
    clean = clips()
    suite.update(clean[:, :, :1], clean[:, :, :1])
    suite.compute()
    suite.reset()
    suite.update(clean, clean)
    assert suite.compute() == {"frame_difference": 0}
    assert (suite.left_out, suite.skipped) == ({}, {})


def test_a_suite_leaves_no_trace_in_its_owners_checkpoint_and_moves_with_it():
    owner = torch.nn.Linear(2, 2)
    owner.suite = MetricSuite({"psnr": PSNR, "stlpips_alex": shift_tolerant})
    clean = clips()
    owner.suite.update(clean, clean)
    assert owner.state_dict().keys() == {"weight", "bias"}
    assert len(list(owner.parameters())) == 2
    owner.to("meta")
    assert owner.suite.metrics["psnr"].total.is_meta
    assert owner.suite.metrics["stlpips_alex"].network.shift.is_meta
