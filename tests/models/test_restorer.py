import json
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel

from dvface.config.build import build
from dvface.config.schema import TrainSettings
from dvface.contracts import Grid, PriorFeatures
from dvface.errors import UserError
from dvface.models.backbones.wan import WanBackbone
from dvface.models.fusion.fusion import Fusion
from dvface.models.fusion.injections import CrossAttention, Modulation, NoInjection
from dvface.models.restorer import Restorer


def perturb(module: torch.nn.Module) -> None:
    """Take every zero-initialised layer away from zero, as training would."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def test_untrained_the_whole_system_is_the_identity(smallest_model: Restorer) -> None:
    video = torch.rand(2, 3, 9, 32, 48) * 2 - 1
    assert torch.equal(smallest_model.eval()(video), video)


def test_trained_it_is_not(smallest_model: Restorer) -> None:
    perturb(smallest_model)
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    assert (smallest_model.eval()(video) - video).abs().mean() > 1e-3


def test_with_fusion_at_initialisation_the_backbone_equals_diffusers_bit_for_bit(
    smallest_model: Restorer,
) -> None:
    backbone = smallest_model.backbone
    assert isinstance(backbone, WanBackbone)
    wan: WanTransformer3DModel = backbone.transformer
    perturb(wan)
    latents = torch.randn(2, 768, 2, 4, 6)
    prior = smallest_model.eval().prior(torch.rand(2, 3, 5, 32, 48))
    velocity = wan(latents, torch.full((2,), 400.0), torch.zeros(2, 1, 8), return_dict=False)[0]
    assert torch.equal(backbone(latents, prior), latents - velocity)


def test_each_clip_of_a_batch_is_restored_on_its_own(smallest_model: Restorer) -> None:
    perturb(smallest_model)
    smallest_model.eval()
    video = torch.rand(3, 3, 5, 32, 32) * 2 - 1
    together = smallest_model(video)
    alone = torch.cat([smallest_model(video[index : index + 1]) for index in (2, 0, 1)])
    torch.testing.assert_close(together[[2, 0, 1]], alone, rtol=1e-4, atol=1e-5)


def test_a_saved_model_reopens_and_restores_the_same(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    perturb(smallest_model)
    smallest_model.save_pretrained(tmp_path, smallest_settings.model)
    reopened = Restorer.from_pretrained(tmp_path)
    video = torch.rand(1, 3, 5, 32, 32)
    assert torch.equal(reopened(video), smallest_model.eval()(video))


def test_a_folder_that_is_no_model_is_refused_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no config\.json"):
        Restorer.from_pretrained(tmp_path)


def test_a_model_description_cannot_name_foreign_code(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    smallest_model.save_pretrained(tmp_path, smallest_settings.model)
    config = json.loads((tmp_path / "config.json").read_text())
    for target in ("os.system", "dvface.models.restorer.save_file", "dvface.files.write_text"):
        config["model"]["refinement"] = {"_target_": target}
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match="_target_"):
            Restorer.from_pretrained(tmp_path)


def test_a_list_in_a_model_description_hides_no_foreign_code(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    smallest_model.save_pretrained(tmp_path, smallest_settings.model)
    config = json.loads((tmp_path / "config.json").read_text())
    for value in ([{"_target_": "builtins.print", "_args_": ["foreign"]}], "${oc.env:HOME}"):
        config["model"]["refinement"]["channels"] = value
        (tmp_path / "config.json").write_text(json.dumps(config))
        with pytest.raises(UserError, match=r"only classes below|interpolation"):
            Restorer.from_pretrained(tmp_path)


def test_weights_of_another_size_are_refused_in_a_sentence(
    smallest_model: Restorer, smallest_settings: TrainSettings, tmp_path: Path
) -> None:
    tree = {
        **smallest_settings.model,
        "refinement": {**smallest_settings.model["refinement"], "channels": 16},
    }
    smallest_model.save_pretrained(tmp_path, tree)
    with pytest.raises(UserError, match="does not fit"):
        Restorer.from_pretrained(tmp_path)


def test_latent_channels_that_disagree_are_refused_when_built(smallest_settings: TrainSettings) -> None:
    tree = {
        **smallest_settings.model,
        "backbone": {**smallest_settings.model["backbone"], "latent_channels": 16},
    }
    with pytest.raises(UserError, match="768"):
        build(tree)


class TestFusion:
    grid = Grid(frames=2, height=4, width=6)

    def prior(self, model: Restorer) -> PriorFeatures:
        return model.eval().prior(torch.rand(2, 3, 5, 32, 48))

    @pytest.mark.parametrize("query", ["tokens", "temporal", "spatial"])
    @pytest.mark.parametrize("pooling", ["frame", "clip"])
    def test_identity_first_then_both_sides_matter(self, smallest_model: Restorer, query, pooling) -> None:
        fusion = Fusion(
            temporal=lambda: Modulation(32, 16, pooling), spatial=lambda: CrossAttention(32, 16, 16, 2, query)
        )
        tokens, prior = torch.randn(2, 48, 32), self.prior(smallest_model)
        assert torch.equal(fusion(tokens, prior, self.grid), tokens)
        perturb(fusion)
        moved = fusion(tokens, prior, self.grid)
        no_temporal = Fusion(temporal=NoInjection, spatial=lambda: fusion.spatial)
        no_spatial = Fusion(temporal=lambda: fusion.temporal, spatial=NoInjection)
        assert not torch.allclose(moved, no_temporal(tokens, prior, self.grid))
        assert not torch.allclose(moved, no_spatial(tokens, prior, self.grid))

    def test_a_frame_hears_its_own_entries_only(self, smallest_model: Restorer) -> None:
        attention = CrossAttention(32, 16, 16, 2)
        perturb(attention)
        tokens, prior = torch.randn(2, 48, 32), self.prior(smallest_model)
        before = attention(tokens, prior.spatial, prior, self.grid)
        prior.spatial.tokens[:, 1] = torch.randn(2, 4, 6, 16)
        after = attention(tokens, prior.spatial, prior, self.grid)
        assert torch.equal(before[:, :24], after[:, :24])
        assert not torch.equal(before[:, 24:], after[:, 24:])

    def test_attention_knows_where_an_entry_stands(self, smallest_model: Restorer) -> None:
        attention = CrossAttention(32, 16, 16, 2)
        perturb(attention)
        tokens, prior = torch.zeros(2, 48, 32), self.prior(smallest_model)
        prior.spatial.tokens.copy_(torch.randn_like(prior.spatial.tokens))
        moved = attention(tokens, prior.spatial, prior, self.grid)
        prior.spatial.tokens.copy_(prior.spatial.tokens.flip(3).clone())
        assert not torch.allclose(moved, attention(tokens, prior.spatial, prior, self.grid))

    def test_queries_from_an_ablated_side_are_refused(self, smallest_settings: TrainSettings) -> None:
        none = {"_target_": "dvface.models.priors.branch.NoBranch"}
        prior_tree = {**smallest_settings.model["prior"], "temporal": none}
        prior = build(prior_tree).eval()(torch.rand(2, 3, 5, 32, 48))
        assert prior.temporal.channels == 0
        with pytest.raises(ValueError, match="temporal prior"):
            CrossAttention(32, 16, 16, 2, "temporal")(torch.zeros(2, 48, 32), prior.spatial, prior, self.grid)
