from itertools import pairwise
from math import log10
from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from skimage.metrics import structural_similarity
from tests.metrics.pictures import as_clip, clean_and_worse
from torchmetrics.functional.image import structural_similarity_index_measure

from dvface.metrics.flicker import FrameDifferenceError
from dvface.metrics.perceptual import PerceptualDistance
from dvface.metrics.psnr import PSNR, LumaPSNR
from dvface.metrics.segment import blocks_of, segments
from dvface.metrics.ssim import SSIM, LumaSSIM, MultiScaleSSIM
from dvface.metrics.temporal_perceptual import TemporalPerceptualError
from dvface.perception.perceptual import ShiftTolerantLPIPS


def clips(batch=1, frames=3, size=16, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand((batch, 3, frames, size, size), generator=generator) * 1.6 - 0.8


def measure(metric, *pairs):
    for restored, clean in pairs:
        metric.update(restored, clean)
    return metric.compute().item()


def metric_segments(restored, clean):
    """The segments of clips of one clip."""
    return segments(blocks_of(restored[0], clean[0]))


def test_psnr_of_a_known_error():
    clean = clips()
    # 0.2 on [-1, 1] is 0.1 of the peak on [0, 1]: 20 dB
    assert measure(PSNR(), (clean + 0.2, clean)) == pytest.approx(20, abs=1e-3)


def test_psnr_is_averaged_over_frames_and_not_pooled():
    clean = clips(frames=2)
    error = torch.tensor([0.2, 0.02]).view(1, 1, 2, 1, 1)
    # 20 and 40 dB; pooling the squared errors would give 22.97
    assert measure(PSNR(), (clean + error, clean)) == pytest.approx(30, abs=1e-2)


def test_clips_weigh_the_same_whatever_their_length():
    short, long = clips(frames=1), clips(frames=9)
    assert measure(PSNR(), (short + 0.2, short), (long + 0.02, long)) == pytest.approx(30, abs=1e-2)


def test_identical_frames_count_as_100_db():
    clean = clips(frames=2)
    error = torch.tensor([0.0, 0.2]).view(1, 1, 2, 1, 1)
    assert measure(PSNR(), (clean + error, clean)) == pytest.approx(60, abs=1e-2)


def test_a_frame_above_100_db_is_capped_and_said():
    clean = clips(frames=4)
    error = torch.tensor([0.0, 0.2, 1e-6, 0.02]).view(1, 1, 4, 1, 1)
    metric = PSNR()
    evidence = torch.cat([metric.look(segment) for segment in metric_segments(clean + error, clean)])
    assert evidence.tolist() == pytest.approx([100, 20, 100, 40], abs=1e-2)
    assert metric.remark(evidence) == "2 of 4 frames are as good as identical and count as 100 dB"
    assert metric.remark(evidence[1::2]) == ""
    assert metric.remark(torch.tensor([100, torch.nan])).startswith("1 of 2 frames have no answer; 1 of 2 frames are")


def test_psnr_is_exact_where_errors_are_small_and_frames_large():
    clean, _ = map(as_clip, clean_and_worse())
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(0)) - 0.5
    for decibels in (30, 60, 95):
        restored = clean + noise * (2 * 12**0.5 * 10 ** (-decibels / 20))
        squares = ((restored.double() - clean.double()) / 2).square()
        luma = (
            ((restored.double() - clean.double()) / 2) * torch.tensor([65.481, 128.553, 24.966]).view(1, 3, 1, 1, 1)
        ).sum(1) / 255
        assert -10 * log10(squares.mean()) == pytest.approx(decibels, abs=0.1)
        # 1e-5 of a mean square is 4e-5 dB
        assert measure(PSNR(), (restored, clean)) == pytest.approx(-10 * log10(squares.mean()), abs=5e-5)
        assert measure(LumaPSNR(), (restored, clean)) == pytest.approx(-10 * log10(luma.square().mean()), abs=5e-5)


def test_luma_of_an_error_of_one_channel_and_of_all_by_hand():
    clean = clips()
    green, grey = torch.tensor([0, 0.2, 0]).view(1, 3, 1, 1, 1), 0.2
    # 0.1 of the peak in G moves Y by 12.8553 of 255, in all three channels by 21.9
    assert measure(LumaPSNR(), (clean + green, clean)) == pytest.approx(20 * log10(255 / 12.8553), abs=1e-3)
    assert measure(LumaPSNR(), (clean + grey, clean)) == pytest.approx(20 * log10(255 / 21.9), abs=1e-3)


def test_psnr_and_ssim_are_those_of_pyiqa_on_a_portrait():
    clean, worse = map(as_clip, clean_and_worse(2))
    # pyiqa 0.1.16 on the frames in [0, 1]: archs.psnr_arch.PSNR(), the same with test_y_channel=True and
    # color_space="ycbcr", archs.ssim_arch.SSIM(test_y_channel=False)
    pyiqa = {
        PSNR: [27.670242309570312, 27.23638916015625],
        LumaPSNR: [29.139917373657227, 28.690547943115234],
        SSIM: [0.7338220953065082, 0.7126122660129943],
    }
    for metric, expected in pyiqa.items():
        assert measure(metric(), (worse, clean)) == pytest.approx(np.mean(expected), rel=5e-6)
    # without the colour space pyiqa's luma spans 255 steps where this spans 219
    full = np.mean([27.818002700805664, 27.368633270263672])
    assert measure(LumaPSNR(), (worse, clean)) == pytest.approx(full + 20 * log10(255 / 219), rel=5e-6)


def skimage_ssim(restored, clean):
    return [
        structural_similarity(
            *(((video[0, :, frame].double() + 1) / 2).numpy().transpose(1, 2, 0) for video in (restored, clean)),
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=1,
            channel_axis=2,
        )
        for frame in range(clean.shape[2])
    ]


def test_ssim_is_that_of_skimage():
    clean = clips(frames=2, size=24)
    restored = (clean + 0.3 * clips(frames=2, size=24, seed=1)).clamp(-1, 1)
    expected = skimage_ssim(restored, clean)
    assert 0.2 < np.mean(expected) < 0.98
    assert measure(SSIM(), (restored, clean)) == pytest.approx(np.mean(expected), rel=1e-6)


def test_ssim_is_exact_where_variances_are_small_and_values_large():
    clean = torch.full((1, 3, 1, 64, 48), 0.99)
    restored = clean - 0.01 * torch.rand(clean.shape, generator=torch.Generator().manual_seed(0))
    assert measure(SSIM(), (restored, clean)) == pytest.approx(np.mean(skimage_ssim(restored, clean)), rel=2e-5)


def test_ssim_is_that_of_torchmetrics_away_from_borders():
    clean, restored = clips(frames=1, size=40), clips(frames=1, size=40, seed=1)
    reflected = structural_similarity_index_measure(
        *((video[:, :, 0] + 1) / 2 for video in (restored, clean)), data_range=1.0, return_full_image=True
    )[1]
    expected = reflected[..., 5:-5, 5:-5].mean().item()
    assert measure(SSIM(), (restored, clean)) == pytest.approx(expected, rel=1e-4)


def test_of_frames_smaller_than_its_window_ssim_has_no_answer():
    metric = SSIM()
    metric.update(torch.zeros(1, 3, 2, 10, 10), torch.zeros(1, 3, 2, 10, 10))
    assert metric.compute().isnan()
    assert metric.skipped == 1
    assert "11 pixels" in metric.remark(torch.full((2,), torch.nan))


def test_frame_difference_ignores_a_constant_error_and_sees_flicker():
    clean = clips(frames=3)
    assert measure(FrameDifferenceError(), (clean + 0.2, clean)) == pytest.approx(0, abs=1e-6)
    flicker = torch.tensor([0.1, -0.1, 0.1]).view(1, 1, 3, 1, 1)
    assert measure(FrameDifferenceError(), (clean + flicker, clean)) == pytest.approx(0.1, abs=1e-5)


def test_a_clip_without_an_answer_is_left_out_and_counted():
    metric, clean = FrameDifferenceError(), clips(frames=3)
    metric.update(clean[:, :, :1], clean[:, :, :1])  # one frame has no difference
    assert metric.compute().isnan()
    flicker = torch.tensor([0.1, -0.1, 0.1]).view(1, 1, 3, 1, 1)
    assert measure(metric, (clean + flicker, clean)) == pytest.approx(0.1, abs=1e-5)
    assert (metric.clips, metric.skipped) == (1, 1)


@pytest.mark.parametrize("poison", [torch.nan, torch.inf])
def test_a_broken_restored_clip_is_not_passed_over(poison):
    clean = clips(batch=2)
    restored = clean + 0.2
    restored[1, 0, 0, 0, 0] = poison
    metric = PSNR()
    metric.update(restored, clean)
    assert not metric.compute().isfinite()
    assert metric.skipped == 0


@pytest.mark.parametrize("shape", [(3, 2, 16, 16), (1, 1, 2, 16, 16), (1, 3, 1, 16, 16)])
def test_clips_of_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"psnr: .*\(1, 3, "):
        PSNR().update(clips(frames=2), torch.zeros(shape))
    with pytest.raises(ValueError, match="psnr"):
        PSNR().update(torch.zeros(shape), clips(frames=2))


@settings(max_examples=20, deadline=None)
@given(cuts=st.sets(st.integers(1, 5)), lowest=st.floats(0.01, 0.3))
def test_the_mean_does_not_depend_on_how_clips_are_batched(cuts, lowest):
    clean = clips(batch=6, frames=10, size=12)  # more frames than one chunk holds
    restored = clean + lowest * torch.arange(1, 7).view(6, 1, 1, 1, 1) * clips(6, 10, 12, seed=1)
    edges = [0, *sorted(cuts), 6]
    batches = [(restored[a:b], clean[a:b]) for a, b in pairwise(edges)]
    for metric in (PSNR, LumaPSNR, SSIM, FrameDifferenceError):
        alone = [measure(metric(), (restored[k : k + 1], clean[k : k + 1])) for k in range(6)]
        assert measure(metric(), *batches) == pytest.approx(np.mean(alone), rel=1e-4)


def shift_tolerant():
    return PerceptualDistance(ShiftTolerantLPIPS("alex"), "stlpips_alex")


def temporal_shift_tolerant():
    return TemporalPerceptualError(ShiftTolerantLPIPS("alex"), "tstlpips_alex")


@pytest.fixture(scope="module")
def long_clip():
    """37 frames, three segments: restored and clean, each frame with an error of its own."""
    clean = torch.cat([clips(frames=1, size=48)] * 37, dim=2) + 0.1 * clips(frames=37, size=48, seed=1)
    error = torch.linspace(0.02, 0.3, 37).view(1, 1, 37, 1, 1).roll(11, dims=2)
    return clean + error * clips(frames=37, size=48, seed=2), clean


EVERY_MEASURE = (PSNR, LumaPSNR, SSIM, MultiScaleSSIM, FrameDifferenceError, shift_tolerant, temporal_shift_tolerant)
OF_PAIRS = (FrameDifferenceError, temporal_shift_tolerant)


def fitting(metric, clip):
    """MS-SSIM needs 176 pixels a side, the 48 of the clip four times over; networks are quicker on 32."""
    if metric is MultiScaleSSIM:
        return clip.repeat(1, 1, 1, 4, 4)[..., :176, :176]
    return clip[..., :32, :32] if metric in (shift_tolerant, temporal_shift_tolerant) else clip


@pytest.mark.parametrize("metric", EVERY_MEASURE)
def test_a_clip_of_several_segments_is_the_mean_of_its_frames(metric, long_clip):
    restored, clean = (fitting(metric, clip) for clip in long_clip)
    reach = 2 if metric in OF_PAIRS else 1
    starts = range(37 + 1 - reach)
    one = metric()
    by_hand = []
    for start in starts:
        one.reset()
        by_hand.append(measure(one, (restored[:, :, start : start + reach], clean[:, :, start : start + reach])))
    one.reset()
    assert np.std(by_hand) > 1e-4
    assert measure(one, (restored, clean)) == pytest.approx(np.mean(by_hand), rel=1e-5)


@pytest.mark.parametrize("metric", EVERY_MEASURE)
def test_time_may_run_backwards_and_a_clip_beside_itself_is_perfect(metric, long_clip):
    restored, clean = (fitting(metric, clip[:, :, :5]) for clip in long_clip)
    forward, backward, perfect = metric(), metric(), metric()
    expected = measure(forward, (restored, clean))
    assert measure(backward, (restored.flip(2), clean.flip(2))) == pytest.approx(expected, rel=1e-5)
    best = {PSNR: 100, LumaPSNR: 100, SSIM: 1, MultiScaleSSIM: 1}.get(metric, 0)
    assert measure(perfect, (clean, clean)) == best
    assert (expected < best) == forward.higher_is_better


@pytest.mark.parametrize("metric", EVERY_MEASURE)
def test_a_caller_in_mixed_precision_gets_the_same_number(metric, long_clip):
    restored, clean = (fitting(metric, clip[:, :, :3]) for clip in long_clip)
    exact, mixed = metric(), metric()
    expected = measure(exact, (restored, clean))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert measure(mixed, (restored, clean)) == expected


def test_ssim_of_luma_is_the_number_of_pyiqa():
    clean = np.asarray(Image.open(Path(skimage.__file__).parent / "data/astronaut.png")).astype(int)
    restored = np.roll(clean * 7 // 8 + 9, 1, axis=1)
    metric = LumaSSIM()
    metric.update(*(as_clip(frames[None].astype(np.uint8)) for frames in (restored, clean)))
    # pyiqa 0.1.16: create_metric("ssim")(restored, clean), frames in [0, 1]
    assert metric.compute().item() == pytest.approx(0.7441494419436232, rel=1e-5)


def test_ssim_of_luma_sees_no_change_of_colour_alone():
    grey = torch.full((1, 3, 1, 16, 16), 100 / 127.5 - 1)
    coloured = grey.clone()
    coloured[:, 0] += 0.114 * 50 / 127.5  # red up and blue down by as much luma
    coloured[:, 2] -= 0.299 * 50 / 127.5
    metric, of_colour = LumaSSIM(), SSIM()
    metric.update(coloured, grey)
    of_colour.update(coloured, grey)
    assert metric.compute() == pytest.approx(1, abs=2e-4)  # luma is rounded to whole levels
    assert of_colour.compute() < 0.999
