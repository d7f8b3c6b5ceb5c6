import pytest
import torch
from tests.metrics.pictures import as_clip, clean_and_worse, made_up_alexnet

from dvface.metrics.perceptual import PerceptualDistance
from dvface.metrics.temporal_perceptual import TemporalPerceptualError
from dvface.perception.perceptual import LPIPS, SHIFT_TOLERANT_WEIGHTS, FrameDistance, ShiftTolerantLPIPS


class BrightnessDistance(FrameDistance):
    """How much the mean brightness on [0, 1] differs."""

    file_name = "brightness.pth"

    def forward(self, first, second):
        return (first - second).mean(dim=(1, 2, 3)).abs() / 2


@pytest.fixture(scope="module")
def made_up_lpips(tmp_path_factory):
    path = tmp_path_factory.mktemp("trunk") / "made-up-alexnet.pth"
    torch.save(made_up_alexnet(), path)
    return LPIPS("alex", path)


@pytest.fixture(scope="module")
def clips():
    """Four frames of 96 pixels a side, restored and clean."""
    clean, worse = clean_and_worse(4, top=60, left=170, side=96)
    return as_clip(worse), as_clip(clean)


def flat(*levels):
    return torch.tensor(levels).view(1, 1, -1, 1, 1).repeat(1, 3, 1, 8, 8) * 2 - 1


def measure(metric, restored, clean):
    metric.reset()
    metric.update(restored, clean)
    return metric.compute().item()


def test_it_is_the_difference_of_changes_by_hand_and_not_times_100():
    metric = TemporalPerceptualError(BrightnessDistance(), "tbrightness")
    # changes of 0.1 and 0.3 against 0.2 and 0: off by 0.1 and 0.3
    assert measure(metric, flat(0.1, 0.2, 0.5), flat(0.1, 0.3, 0.3)) == pytest.approx(0.2, rel=1e-5)
    assert "without its factor 100" in metric.definition
    assert (metric.name, metric.file_name, metric.higher_is_better) == ("tbrightness", "brightness.pth", False)


def test_a_change_of_the_right_size_in_the_wrong_direction_is_no_error():
    metric = TemporalPerceptualError(BrightnessDistance(), "tbrightness")
    assert measure(metric, flat(0.5, 0.6, 0.5), flat(0.5, 0.4, 0.3)) == pytest.approx(0, abs=1e-6)


def test_a_distance_counts_frames_by_hand():
    metric = PerceptualDistance(BrightnessDistance(), "brightness")
    assert measure(metric, flat(0.1, 0.2, 0.6), flat(0.1, 0.3, 0.4)) == pytest.approx(0.1, rel=1e-5)


def test_lpips_and_its_changes_are_those_of_the_authors_package(made_up_lpips, clips):
    # lpips 0.1.4, LPIPS(net="alex", pnet_rand=True) with the same made-up trunk, called on frames and on pairs
    frames = [0.006910526193678379, 0.007557664066553116, 0.007971802726387978, 0.006845618598163128]
    restored = [0.01321245264261961, 0.011349708773195744, 0.014005899429321289]
    clean = [0.022547991946339607, 0.019250577315688133, 0.01948201283812523]
    changes = [abs(one - other) for one, other in zip(restored, clean, strict=True)]
    assert measure(PerceptualDistance(made_up_lpips, "lpips_alex"), *clips) == pytest.approx(sum(frames) / 4, rel=1e-5)
    assert measure(TemporalPerceptualError(made_up_lpips, "tlpips"), *clips) == pytest.approx(
        sum(changes) / 3, rel=1e-5
    )


@pytest.mark.parametrize(
    ("network", "frames", "changes"),
    [
        (
            "alex",
            [0.12168622761964798, 0.13088655471801758, 0.1254086196422577, 0.12132877111434937],
            [0.004085252061486244, 0.008538994938135147, 0.002667957916855812],
        ),
        (
            "vgg",
            [0.25949549674987793, 0.25872576236724854, 0.28506046533584595, 0.27118945121765137],
            [0.005058169364929199, 0.004617307335138321, 0.011443186551332474],
        ),
    ],
)
def test_shift_tolerant_lpips_and_its_changes_are_those_of_the_authors_package(network, frames, changes, clips):
    # stlpips-pytorch 0.0.2, stlpips.LPIPS(net=network, variant="shift_tolerant"), called on frames and on pairs
    distance = ShiftTolerantLPIPS(network, SHIFT_TOLERANT_WEIGHTS[network].packaged.locate())
    assert measure(PerceptualDistance(distance, "stlpips"), *clips) == pytest.approx(sum(frames) / 4, rel=1e-5)
    assert measure(TemporalPerceptualError(distance, "tstlpips"), *clips) == pytest.approx(sum(changes) / 3, rel=1e-5)


def test_flicker_is_seen_and_a_constant_error_is_not_taken_for_it(made_up_lpips, clips):
    _, clean = clips
    still = clean[:, :, :1].repeat(1, 1, 4, 1, 1)
    pattern = 0.1 * torch.sin(torch.arange(96.0)).expand(96, 96)
    flicker = pattern * torch.tensor([1.0, -1, 1, -1]).view(4, 1, 1)
    metric = TemporalPerceptualError(made_up_lpips, "tlpips")
    assert measure(metric, still + pattern, still) == 0
    assert measure(metric, still + flicker, still) > 1e-4


def test_one_frame_has_no_answer(made_up_lpips, clips):
    metric = TemporalPerceptualError(made_up_lpips, "tlpips")
    metric.update(*(clip[:, :, :1] for clip in clips))
    assert metric.compute().isnan()
    assert (metric.clips, metric.skipped) == (0, 1)
    assert "one before them" in metric.remark(torch.tensor([torch.nan]))
