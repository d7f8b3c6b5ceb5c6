"""The backbones with Wan's transformer, whole and with adapters."""

from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from tests.models.small_backbones import compose, gradients, latents, make, perturb, prior

from dvface.config.build import build
from dvface.models.backbones.base import Backbone
from dvface.models.backbones.lora import WanLoRABackbone
from dvface.models.backbones.text import LearnedText, StoredText
from dvface.models.pretrained import with_adapters
from dvface.models.restorer import Restorer


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
