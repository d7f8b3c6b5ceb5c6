import pytest
import torch
from torch import Tensor

from dvface.config.compose import load, resolve
from dvface.evaluation.measure import metric_factories
from dvface.metrics.fid import FrechetInceptionDistance
from dvface.metrics.fvd import FrechetVideoDistance
from dvface.metrics.segment import Segment, blocks_of, segments
from dvface.metrics.suite import MetricSuite


class MeanColours:
    """Mean colours of frames or clips, (N, 3); counts what it is shown."""

    dimension = 3
    file_name = "colours.pth"

    def __init__(self):
        self.shown = 0

    def features(self, frames: Tensor) -> Tensor:
        self.shown += len(frames)
        return frames.flatten(2).mean(dim=2)


def clip(frames, seed=0):
    """Restored and clean, (3, T, 8, 8)."""
    generator = torch.Generator().manual_seed(seed)
    clean = torch.rand(3, frames, 8, 8, generator=generator) * 2 - 1
    return clean * 0.7, clean


def evidence(metric, frames):
    return torch.cat([metric.look(segment) for segment in segments(blocks_of(*clip(frames)))])


@pytest.mark.parametrize(
    ("frames", "windows"), [(1, 0), (9, 0), (10, 1), (15, 1), (16, 1), (17, 1), (31, 1), (32, 2), (47, 2), (48, 3)]
)
def test_a_window_is_16_frames_or_the_10_that_a_clip_has(frames, windows):
    metric = FrechetVideoDistance(MeanColours())
    found = evidence(metric, frames)
    assert found.shape == (windows, 2, 3)
    for side, frames_of_side in enumerate(clip(frames)):
        for number in range(windows):
            window = frames_of_side[:, 16 * number : 16 * number + 16]
            torch.testing.assert_close(found[number, side], window.mean(dim=(1, 2, 3)))


def test_fvd_says_of_a_clip_how_many_windows_it_has_and_counts_those_without():
    metric = FrechetVideoDistance(MeanColours())
    assert metric.remark(evidence(metric, 40)) == "2 window(s)"
    assert metric.remark(evidence(metric, 9)) == "fewer than 10 frames in a row, the least that fvd takes"
    for frames in (9, 40, 12):
        restored, clean = clip(frames)
        metric.update(restored[None], clean[None])
    assert (int(metric.skipped), int(metric.clips), int(metric.samples)) == (1, 2, 3)
    assert metric.compute() > 0


def test_frames_left_over_make_no_window_but_after_a_gap_they_are_all_that_there_are():
    metric = FrechetVideoDistance(MeanColours())
    restored, clean = (side.transpose(0, 1) for side in clip(28))
    before = Segment(restored[:16], clean[:16])
    assert len(metric.look(Segment(restored[16:], clean[16:], before))) == 0
    assert len(metric.look(Segment(restored[16:], clean[16:]))) == 1


def test_fid_has_one_sample_a_frame_and_shows_each_frame_to_the_network_once():
    network = MeanColours()
    suite = [FrechetInceptionDistance(network), FrechetInceptionDistance(network)]
    restored, clean = clip(40)
    for segment in segments(blocks_of(restored, clean)):
        for metric in suite:
            metric.add(metric.look(segment))
    assert network.shown == 2 * 40
    expected = torch.stack([restored, clean], dim=2).mean(dim=(3, 4)).permute(1, 2, 0)
    torch.testing.assert_close(evidence(suite[0], 40), expected)
    assert int(suite[1].samples) == 40
    assert suite[0].remark(expected) == "40 frame(s)"


def test_a_restored_frame_that_holds_no_numbers_does_not_pass_unnoticed():
    for metric in (FrechetVideoDistance(MeanColours()), FrechetInceptionDistance(MeanColours())):
        restored, clean = clip(64)
        metric.update(restored[None], clean[None])
        assert metric.compute().isfinite()
        restored[0, 50, 0, 0] = torch.nan
        metric.update(restored[None], clean[None])
        assert metric.compute() == torch.inf


def test_identical_clips_have_distance_zero():
    for metric in (FrechetVideoDistance(MeanColours()), FrechetInceptionDistance(MeanColours())):
        for seed in range(3):
            _, clean = clip(32, seed)
            metric.update(clean[None], clean[None])
        assert 0 <= metric.compute() < 1e-6


def test_their_configurations_name_the_networks_that_are_missing(monkeypatch, tmp_path):
    monkeypatch.delenv("DVFACE_WEIGHTS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    suite = MetricSuite(metric_factories(resolve(load("train", ["metrics=[fvd,fid]"]))["metrics"]))
    assert suite.left_out.keys() == {"fvd", "fid"}
    assert "i3d_pretrained_400.pt" in suite.left_out["fvd"]
    assert "pt_inception-2015-12-05-6726825d.pth" in suite.left_out["fid"]
