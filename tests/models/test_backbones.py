from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from dvface.config.build import build
from dvface.config.compose import groups, load, resolve
from dvface.config.schema import TrainSettings, check
from dvface.contracts import LatentLayout, PriorFeatures, PriorSide
from dvface.models.backbones.base import Backbone
from dvface.models.backbones.lora import WanLoRABackbone
from dvface.models.backbones.plain import PlainBackbone
from dvface.models.backbones.text import LearnedText, StoredText
from dvface.models.backbones.unet import UNetBackbone
from dvface.models.fusion.fusion import Fusions
from dvface.models.pretrained import with_adapters
from dvface.models.restorer import Restorer

LAYOUT = LatentLayout(channels=6, spatial_stride=8, temporal_stride=4)
SMALL = [
    "size.token_dim=32",
    "size.prior_dim=16",
    "text.dim=8",
    "backbone.heads=2",
    "backbone.layers=3",
]
OWN = {
    "wan_small": ["backbone.feed_forward_dim=32"],
    "wan_lora": ["backbone.feed_forward_dim=32", "backbone.rank=2"],
    "plain": ["backbone.feed_forward_dim=32"],
    "unet": ["backbone.channels=[8]"],
}
"""The backbones that are small already, and what makes them smaller; `wan` is Wan2.1's full size."""

every_backbone = pytest.mark.parametrize("name", OWN)
with_patches = pytest.mark.parametrize("name", ["wan_small", "wan_lora", "plain"])


@cache
def compose(name: str, *overrides: str) -> TrainSettings:
    return check(resolve(load("train", [f"backbone={name}", *SMALL, *OWN[name], *overrides])))


def make(name: str, *overrides: str) -> Backbone:
    return build(compose(name, *overrides).backbone)(layout=LAYOUT)


def perturb(module: nn.Module) -> None:
    """Take every zero-initialised layer away from zero, as training would."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))


def side(batch: int, frames: int) -> PriorSide:
    tokens = torch.randn(batch, frames, 3, 5, 16)
    return PriorSide(tokens, tokens.new_zeros(*tokens.shape[:4], 1, 8), torch.zeros(*tokens.shape[:4], 1).long())


def prior(batch: int = 2, frames: int = 3) -> PriorFeatures:
    return PriorFeatures(side(batch, frames), side(batch, frames))


def latents(batch: int = 2, frames: int = 3, height: int = 4, width: int = 6) -> Tensor:
    return torch.randn(batch, LAYOUT.channels, frames, height, width)


def gradients(backbone: Backbone, given_latents: Tensor, given_prior: PriorFeatures) -> dict[str, Tensor | None]:
    backbone.zero_grad()
    backbone(given_latents, given_prior).pow(2).mean().backward()
    return {name: parameter.grad for name, parameter in backbone.named_parameters()}


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


def bare(backbone: Backbone) -> WanTransformer3DModel:
    """A plain transformer of diffusers with the backbone's weights, apart from any adapter."""
    transformer = WanTransformer3DModel.from_config(backbone.transformer.config)
    state = {
        name.replace("base_layer.", ""): value
        for name, value in backbone.transformer.state_dict().items()
        if "lora_" not in name
    }
    transformer.load_state_dict(state)
    # torch takes another kernel for an expanded input when weights are frozen, as under adapters.
    return transformer.eval().requires_grad_(backbone.transformer.patch_embedding.weight.requires_grad)


def perturb_all_but_adapters(backbone: Backbone) -> None:
    with torch.no_grad():
        for name, parameter in backbone.transformer.named_parameters():
            if "lora_" not in name:
                parameter.add_(0.1 * torch.randn_like(parameter))


class TestWan:
    @pytest.mark.parametrize("name", ["wan_small", "wan_lora"])
    @pytest.mark.parametrize(
        ("timestep", "patch", "every"), [(0, [1, 1, 1], 1), (400, [1, 2, 2], 2), (999.5, [1, 1, 3], 3)]
    )
    def test_with_fusion_at_initialisation_it_is_diffusers_bit_for_bit(self, name, timestep, patch, every) -> None:
        backbone = make(
            name,
            f"one_step.timestep={timestep}",
            f"backbone.patch_size={patch}",
            f"fusion.every={every}",
            "text=stored",
            "text.tokens=5",
        ).eval()
        perturb_all_but_adapters(backbone)
        backbone.text.embedding.normal_()
        given_latents = latents()
        times = torch.full((2,), float(timestep))
        theirs = bare(backbone)(given_latents, times, backbone.text(2), return_dict=False)[0]
        assert torch.equal(backbone.predict(given_latents, prior()), theirs)
        assert theirs.abs().mean() > 1e-2

    def test_one_zero_token_is_as_good_as_the_512_that_wan_pads_with(self) -> None:
        backbone = make("wan_small").eval()
        perturb_all_but_adapters(backbone)
        transformer, given_latents, times = bare(backbone), latents(), torch.full((2,), 400.0)
        one = transformer(given_latents, times, LearnedText(8)(2), return_dict=False)[0]
        many = transformer(given_latents, times, StoredText(512, 8)(2), return_dict=False)[0]
        torch.testing.assert_close(one, many, rtol=1e-4, atol=1e-5)

    def test_the_timestep_matters(self) -> None:
        early, late = make("wan_small", "one_step.timestep=10"), make("wan_small", "one_step.timestep=900")
        perturb(early)
        late.load_state_dict(early.state_dict())
        given_latents, given_prior = latents(), prior()
        assert not torch.allclose(
            early.eval()(given_latents, given_prior), late.eval()(given_latents, given_prior), atol=1e-3
        )


class TestLoRA:
    def test_only_adapters_fusions_and_text_learn(self) -> None:
        backbone = make("wan_lora", "backbone.zero_output=false")
        backbone.requires_grad_(False)
        backbone.unfreeze()
        for name, parameter in backbone.named_parameters():
            expected = "lora_" in name or name.startswith(("fusions.", "text."))
            assert parameter.requires_grad == expected, name

    def test_an_output_layer_that_starts_at_zero_learns_too(self) -> None:
        backbone = make("wan_lora")
        learning = {name for name, parameter in backbone.transformer.named_parameters() if parameter.requires_grad}
        assert {name for name in learning if "lora_" not in name} == {"proj_out.weight", "proj_out.bias"}
        found = gradients(backbone.train(), latents(), prior())
        assert found["transformer.proj_out.weight"].abs().max() > 0

    def test_a_step_of_training_moves_the_adapters_and_leaves_wan(self) -> None:
        backbone = make("wan_lora", "backbone.zero_output=false").train()
        before = {name: value.clone() for name, value in backbone.state_dict().items()}
        learning = [parameter for parameter in backbone.parameters() if parameter.requires_grad]
        optimiser = torch.optim.SGD(learning, lr=0.1)
        backbone(latents(), prior()).pow(2).mean().backward()
        optimiser.step()
        moved = {name for name, value in backbone.state_dict().items() if not torch.equal(value, before[name])}
        assert any("lora_B" in name for name in moved)
        assert all("lora_" in name or name.startswith(("fusions.", "text.")) for name in moved)

    def test_adapters_add_what_the_paper_of_lora_says(self) -> None:
        backbone = make("wan_lora", "backbone.alpha=3.0")
        perturb(backbone)
        layer = backbone.transformer.blocks[0].attn1.to_q
        change = 3.0 / 2 * layer.lora_B["default"].weight @ layer.lora_A["default"].weight
        given_tokens = torch.randn(4, 32)
        expected = given_tokens @ (layer.base_layer.weight + change).T + layer.base_layer.bias
        torch.testing.assert_close(layer(given_tokens), expected)

    def test_the_feed_forward_can_have_adapters(self) -> None:
        targets = "backbone.targets=[to_v,ffn.net.0.proj,ffn.net.2]"
        names = {name for name, _ in make("wan_lora", targets).transformer.named_parameters() if "lora_A" in name}
        layers = ("attn1.to_v", "attn2.to_v", "ffn.net.0.proj", "ffn.net.2")
        assert names == {f"blocks.{block}.{layer}.lora_A.default.weight" for block in range(3) for layer in layers}

    @pytest.mark.parametrize(
        ("override", "message"),
        [
            ("backbone.rank=0", "rank and backbone.alpha must be positive, got 0 and 16.0"),
            ("backbone.alpha=-1.0", "must be positive"),
            ("backbone.targets=[to_q,to_nothing]", "no layer of Wan's blocks is called to_nothing; one of: attn1.to_k"),
            ("backbone.targets=[]", "targets is empty"),
        ],
    )
    def test_adapters_that_cannot_be_are_refused(self, override: str, message: str) -> None:
        with pytest.raises(ValueError, match=message):
            make("wan_lora", override)

    def test_plain_weights_of_wan_load_under_the_adapters(self) -> None:
        backbone, theirs = (
            make("wan_lora").eval(),
            WanTransformer3DModel.from_config(make("wan_lora").transformer.config),
        )
        adapters = {name: value.clone() for name, value in backbone.transformer.state_dict().items() if "lora_" in name}
        backbone.transformer.load_state_dict(with_adapters(theirs.state_dict(), backbone.transformer))
        given_latents = latents()
        expected = theirs.eval()(given_latents, torch.full((2,), 400.0), torch.zeros(2, 1, 8), return_dict=False)[0]
        assert torch.equal(backbone.predict(given_latents, prior()), expected)
        assert adapters
        for name, value in adapters.items():
            assert torch.equal(backbone.transformer.state_dict()[name], value)

    def test_a_saved_restorer_reopens_with_its_adapters(self, tmp_path: Path) -> None:
        settings = compose("wan_lora", "prior.encoder.channels=[8,8,8]", "refinement.channels=8")
        model: Restorer = build(settings.model)
        assert isinstance(model.backbone, WanLoRABackbone)
        perturb(model)
        model.save_pretrained(tmp_path, settings.model)
        video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
        restored = model.eval()(video)
        assert torch.equal(Restorer.from_pretrained(tmp_path)(video), restored)
        assert not torch.allclose(restored, video)


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
