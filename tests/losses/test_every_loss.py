"""What holds for every term that an experiment can choose, built from the very files under conf/loss."""

import pytest
import timm
import torch
from tests.losses.clips import footage
from torch import nn
from torchvision.models import vgg

from dvface.config.build import build
from dvface.config.compose import groups, load, resolve
from dvface.config.schema import check
from dvface.perception.arcface import IRSE50

TERMS = [
    (group.removeprefix("loss/"), name)
    for group, names in groups().items()
    if group.startswith("loss/")
    for name in names
    if name != "none"
]


ALEXNET = ((0, 3, 64, 11), (3, 64, 192, 5), (6, 192, 384, 3), (8, 384, 256, 3), (10, 256, 256, 3))
"""Its convolutions: place, channels in, channels out, kernel."""


@pytest.fixture(scope="module")
def weights_folder(tmp_path_factory):
    """Every file that a term asks for, in its published layout, of random numbers."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("weights")
    alexnet = nn.Sequential()
    for position, channels, width, kernel in ALEXNET:
        alexnet.add_module(f"features_{position}", nn.Conv2d(channels, width, kernel))
    trunk = {f"features.{key}": value for key, value in vgg.make_layers(vgg.cfgs["D"]).state_dict().items()}
    dinov2 = timm.create_model("vit_small_patch14_dinov2", img_size=56).state_dict()
    for name, state in {
        "lpips/alexnet-owt-7be5be79.pth": {
            key.replace("features_", "features."): value for key, value in alexnet.state_dict().items()
        },
        "lpips/vgg16-397923af.pth": trunk,
        "arcface/recognition_arcface_ir_se50.pth": IRSE50().state_dict(),
        "timm/vit_small_patch14_dinov2.pth": dinov2,
    }.items():
        (folder / name).parent.mkdir(exist_ok=True)
        torch.save(state, folder / name)
    return folder


SMALLER = {("adversarial", "dinov2"): ["loss.adversarial.discriminator.resolution=56"]}
"""16 times fewer tokens."""


def settings_of(*overrides: str) -> dict:
    return check(resolve(load("train", list(overrides)))).loss


@pytest.fixture(scope="module", params=TERMS, ids="/".join)
def term(request, weights_folder):
    group, name = request.param
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVFACE_WEIGHTS", str(weights_folder))
        torch.manual_seed(0)
        return build(settings_of(f"loss/{group}={name}", *SMALLER.get(request.param, []))[group])


@pytest.fixture
def clips(carphone):
    """Two different clips and damaged copies; real footage, for flow to follow."""
    clean = footage(carphone, clips=2, frames=3)
    return clean + 0.1 * torch.randn_like(clean), clean


def test_gradients_are_finite_and_reach_the_restored_clip(term, clips) -> None:
    restored, clean = clips[0].requires_grad_(True), clips[1]
    value = term(restored, clean, 0)
    value.backward()
    assert value.shape == ()
    assert value.isfinite()
    assert restored.grad.isfinite().all()
    assert restored.grad.abs().max() > 0


def test_gradients_are_finite_where_restored_is_clean(term, clips) -> None:
    restored = clips[1].clone().requires_grad_(True)
    value = term(restored, clips[1], 0)
    value.backward()
    assert value.isfinite()
    assert restored.grad.isfinite().all()


def test_the_order_of_clips_does_not_matter(term, clips) -> None:
    restored, clean = clips
    with torch.no_grad():
        torch.testing.assert_close(
            term(restored.flip(0), clean.flip(0), 1), term(restored, clean, 1), atol=1e-5, rtol=1e-4
        )


def test_a_clip_of_one_frame_is_taken(term, clips) -> None:
    restored, clean = (video[:, :, :1].clone() for video in clips)
    value = term(restored.requires_grad_(True), clean, 5)
    value.backward()
    assert value.isfinite()
    assert restored.grad.isfinite().all()


def test_it_runs_under_half_precision_near_its_full_value(term, clips) -> None:
    restored, clean = clips
    with torch.no_grad():
        full = term(restored, clean, 0)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = term(restored.bfloat16(), clean, 0)
    assert mixed.item() == pytest.approx(full.item(), rel=0.1, abs=0.05)


@pytest.mark.parametrize("name", ["pixel", "dove"])
def test_every_sum_of_terms_builds_and_is_smallest_for_a_perfect_clip(
    name: str, weights_folder, monkeypatch, clips
) -> None:
    monkeypatch.setenv("DVFACE_WEIGHTS", str(weights_folder))
    losses = build(settings_of(f"loss={name}"))
    restored, clean = clips
    total, values = losses(restored, clean, 0)
    perfect, _ = losses(clean, clean, 0)
    assert set(values) == {"reconstruction", "perceptual", "temporal"}
    assert perfect == pytest.approx(0, abs=2e-3)  # Charbonnier's least is ε = 1e-3
    assert total > perfect


def test_doves_terms_weigh_alike() -> None:
    loss = settings_of("loss=dove")
    chosen = {name: weight for name, weight in loss["weights"].items() if "NoLoss" not in loss[name]["_target_"]}
    assert chosen == {"reconstruction": 1.0, "perceptual": 1.0, "temporal": 1.0}
    assert [loss[name]["_target_"].rpartition(".")[2] for name in chosen] == [
        "MeanSquaredLoss",
        "PerceptualLoss",
        "FrameDifferenceLoss",
    ]
