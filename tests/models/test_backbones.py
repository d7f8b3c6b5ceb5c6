"""What every backbone must do, and what is particular to those without Wan's transformer."""

import pytest
import torch
from tests.models.small_backbones import (
    LAYOUT,
    OWN,
    compose,
    every_backbone,
    gradients,
    latents,
    make,
    perturb,
    prior,
    side,
    with_patches,
)

from dvface.config.build import build
from dvface.config.compose import groups, load, resolve
from dvface.config.schema import check
from dvface.contracts import LatentLayout, PriorFeatures, PriorSide
from dvface.models.backbones.plain import PlainBackbone
from dvface.models.backbones.unet import UNetBackbone
from dvface.models.fusion.fusion import Fusions


def test_the_list_of_backbones_is_complete() -> None:
    assert {*OWN, "wan"} <= set(groups()["backbone"])


@every_backbone
class TestEveryBackbone:
    @pytest.mark.parametrize("rule", ["velocity", "flow", "residual"])
    def test_untrained_it_is_exactly_the_identity(self, name: str, rule: str) -> None:
        given_latents = latents()
        assert torch.equal(make(name, f"one_step={rule}").eval()(given_latents, prior()), given_latents)

    def test_trained_it_listens_to_both_sides(self, name: str) -> None:
        backbone, given_latents, given_prior = make(name).eval(), latents(), prior()
        perturb(backbone)
        restored = backbone(given_latents, given_prior)
        assert restored.shape == given_latents.shape
        for other in (
            PriorFeatures(side(2, 3), given_prior.temporal),
            PriorFeatures(given_prior.spatial, side(2, 3)),
        ):
            assert not torch.allclose(backbone(given_latents, other), restored)

    def test_frames_hear_of_each_other(self, name: str) -> None:
        backbone, given_latents, given_prior = make(name).eval(), latents(), prior()
        perturb(backbone)
        before = backbone(given_latents, given_prior)
        given_latents[:, :, 2] = torch.randn(2, 6, 4, 6)
        assert not torch.allclose(backbone(given_latents, given_prior)[:, :, 0], before[:, :, 0])

    def test_frames_are_told_apart(self, name: str) -> None:
        backbone, given_latents = make(name, "fusion=none").eval(), latents()
        perturb(backbone)
        restored = backbone(given_latents, prior())
        assert not torch.allclose(backbone(given_latents.flip(2), prior()).flip(2), restored, atol=1e-4)

    def test_each_clip_of_a_batch_is_restored_on_its_own(self, name: str) -> None:
        backbone, given_latents, given_prior = make(name).eval(), latents(3), prior(3)
        perturb(backbone)
        together = backbone(given_latents, given_prior)
        for clip in (2, 0, 1):
            sides = (
                PriorSide(*(value[clip : clip + 1] for value in (one.tokens, one.logits, one.indices)))
                for one in (given_prior.spatial, given_prior.temporal)
            )
            alone = backbone(given_latents[clip : clip + 1], PriorFeatures(*sides))
            torch.testing.assert_close(alone, together[clip : clip + 1], rtol=1e-4, atol=1e-5)

    def test_what_learns_gets_a_gradient_and_nothing_else_does(self, name: str) -> None:
        backbone = make(name, "text=stored", "text.tokens=3").train()
        perturb(backbone)
        for buffer_name, buffer in backbone.named_buffers():
            if buffer_name.endswith("embedding"):
                buffer.normal_()
        backbone.requires_grad_(False)
        backbone.unfreeze()
        learning = {key for key, parameter in backbone.named_parameters() if parameter.requires_grad}
        assert learning
        for key, gradient in gradients(backbone, latents(), prior()).items():
            assert (gradient is not None and bool(gradient.abs().max() > 0)) == (key in learning), key

    def test_recomputing_blocks_changes_no_gradient(self, name: str) -> None:
        backbone, given_latents, given_prior = make(name).train(), latents(), prior()
        perturb(backbone)
        kept = gradients(backbone, given_latents, given_prior)
        calls = 0

        def count(*_: object) -> None:
            nonlocal calls
            calls += 1

        backbone.fusions[1].register_forward_hook(count)
        backbone.gradient_checkpointing = True
        recomputed = gradients(backbone, given_latents, given_prior)
        assert calls == 2
        assert any(gradient is not None for gradient in kept.values())
        for key, gradient in kept.items():
            torch.testing.assert_close(recomputed[key], gradient, msg=key)

    def test_its_weights_travel_bit_for_bit(self, name: str) -> None:
        one, other, given_latents, given_prior = make(name).eval(), make(name).eval(), latents(), prior()
        perturb(one)
        other.load_state_dict(one.state_dict())
        assert torch.equal(one(given_latents, given_prior), other(given_latents, given_prior))

    def test_shapes_are_known_without_values(self, name: str) -> None:
        with torch.device("meta"):
            restored = make(name).eval()(latents(frames=5), prior(frames=5))
        assert restored.is_meta
        assert restored.shape == (2, 6, 5, 4, 6)

    def test_bfloat16_is_near(self, name: str) -> None:
        backbone, given_latents, given_prior = make(name).eval(), latents(), prior()
        perturb(backbone)
        exact = backbone.predict(given_latents, given_prior)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = backbone.predict(given_latents, given_prior)
        assert (rough.float() - exact).norm() < 0.05 * exact.norm()

    @pytest.mark.parametrize("frames", [1, 2, 7])
    def test_any_number_of_frames_is_served(self, name: str, frames: int) -> None:
        backbone = make(name).eval()
        perturb(backbone)
        assert backbone(latents(1, frames), prior(1, frames)).isfinite().all()

    def test_a_fusion_may_stand_before_some_blocks_only(self, name: str) -> None:
        backbone = make(name, "fusion.every=2")
        counted = [sum(parameter.numel() for parameter in fusion.parameters()) for fusion in backbone.fusions]
        assert counted[0] == counted[2] > 0 == counted[1]


class TestSizes:
    @with_patches
    @pytest.mark.parametrize(("patch", "multiple"), [([1, 2, 2], 2), ([1, 1, 3], 3), ([1, 2, 3], 6)])
    def test_patches_of_any_shape(self, name: str, patch: list[int], multiple: int) -> None:
        backbone = make(name, f"backbone.patch_size={patch}").eval()
        assert backbone.spatial_multiple == multiple
        assert torch.equal(backbone(given := latents(1, 3, 6, 12), prior(1)), given)
        with pytest.raises(ValueError, match=f"no multiple of the backbone's {multiple}"):
            backbone(latents(1, 3, 6, 13), prior(1))

    @with_patches
    @pytest.mark.parametrize("patch", [[2, 2, 2], [1, 2], [1, 0, 2]])
    def test_patches_across_latent_frames_are_refused(self, name: str, patch: list[int]) -> None:
        tree = {**compose(name).backbone, "patch_size": patch}
        with pytest.raises(ValueError, match=r"patch_size must be \[1, rows, columns\]"):
            build(tree)(layout=LAYOUT)

    @every_backbone
    def test_heads_that_do_not_fit_are_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="token_dim 32 is no multiple of"):
            make(name, "backbone.heads=3")

    @pytest.mark.parametrize(("channels", "multiple"), [([8], 2), ([8, 16], 4), ([16, 8, 24], 8)])
    def test_the_unet_halves_once_a_level(self, channels: list[int], multiple: int) -> None:
        backbone = make("unet", f"backbone.channels={channels}").eval()
        assert isinstance(backbone, UNetBackbone)
        assert backbone.spatial_multiple == multiple
        grids = []
        backbone.blocks[0].register_forward_hook(lambda _, inputs, __: grids.append(inputs[3]))
        perturb(backbone)
        assert backbone(latents(1, 3, 8, 16), prior(1)).shape == (1, 6, 3, 8, 16)
        assert (grids[0].height, grids[0].width) == (8 // multiple, 16 // multiple)

    @pytest.mark.parametrize("channels", ["[]", "[12]", "[0]"])
    def test_channels_that_cannot_be_normed_are_refused(self, channels: str) -> None:
        with pytest.raises(ValueError, match="multiples of 8"):
            make("unet", f"backbone.channels={channels}")

    def test_full_size_is_wan21_to_the_parameter(self) -> None:
        overrides = ["backbone=wan", "size.token_dim=1536", "text=stored"]
        with torch.device("meta"):
            tree = check(resolve(load("train", overrides))).backbone
            backbone = build(tree)(layout=LatentLayout(16, 8, 4)).eval()
            restored = backbone(torch.empty(1, 16, 2, 8, 8), PriorFeatures(wide_side(), wide_side()))
        assert sum(parameter.numel() for parameter in backbone.transformer.parameters()) == 1_418_996_800
        assert restored.shape == (1, 16, 2, 8, 8)


def wide_side() -> PriorSide:
    return PriorSide(torch.empty(1, 2, 8, 8, 64), torch.empty(1, 2, 8, 8, 1, 8), torch.empty(1, 2, 8, 8, 1))


class TestPlain:
    def test_space_then_time_reach_every_place(self) -> None:
        backbone = make("plain", "backbone.layers=1").eval()
        assert isinstance(backbone, PlainBackbone)
        perturb(backbone)
        given_latents, given_prior = latents(1), prior(1)
        before = backbone(given_latents, given_prior)
        given_latents[:, :, 0, 0, 0] = torch.randn(6)
        changed = (backbone(given_latents, given_prior) != before).any(dim=1)
        assert changed.all()

    def test_places_in_a_frame_are_told_apart(self) -> None:
        backbone, given_latents = make("plain", "fusion=none").eval(), latents()
        perturb(backbone)
        restored = backbone(given_latents, prior())
        assert not torch.allclose(backbone(given_latents.flip(4), prior()).flip(4), restored, atol=1e-4)


class TestFusionsOfABackbone:
    @every_backbone
    def test_there_is_one_for_each_block(self, name: str) -> None:
        backbone = make(name)
        assert isinstance(backbone.fusions, Fusions)
        assert len(backbone.fusions) == 3
