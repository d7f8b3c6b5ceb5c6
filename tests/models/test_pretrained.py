"""Wan2.1's own layout, proven on a small checkpoint that diffusers itself wrote."""

from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from tests.conftest import SMALLEST

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import check
from dvface.errors import UserError
from dvface.models.restorer import Restorer
from dvface.tracking.run import NoRun
from dvface.training.chain import Chain
from dvface.training.run import check_parts
from dvface.training.run_folder import RunFolder

SMALL_WAN = [
    *[text for text in SMALLEST if not text.startswith("refinement.")],
    "backbone=wan_small",
    "autoencoder=wan",
    "autoencoder.base_dim=4",
    "autoencoder.multipliers=[1,1,1,1]",
    "autoencoder.blocks=1",
    "backbone.patch_size=[1,2,2]",
    "backbone.zero_output=false",
    "refinement=none",
]


NONE = {"_target_": "dvface.models.pretrained.NoWeights"}
VAE = {"_target_": "dvface.models.pretrained.WanAutoencoderFolder"}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small Wan checkpoint in diffusers' layout."""
    torch.manual_seed(3)
    folder = tmp_path_factory.mktemp("wan")
    WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=16, text_dim=8, ffn_dim=32, num_layers=2
    ).save_pretrained(folder / "transformer")
    AutoencoderKLWan(base_dim=4, dim_mult=[1, 1, 1, 1], num_res_blocks=1).save_pretrained(folder / "vae")
    return folder


def model_and_weights(*changes: str) -> tuple[Restorer, object]:
    settings = check(resolve(load("train", [*SMALL_WAN, *changes])))
    return build(settings.model), build(settings.pretrained)


def test_a_wan_folder_fills_backbone_and_autoencoder_and_restores_as_diffusers_does(checkpoint: Path) -> None:
    model, weights = model_and_weights("pretrained=wan21", f"pretrained.backbone.source={checkpoint}")
    weights.load(model)
    model.eval()
    wan = WanTransformer3DModel.from_pretrained(checkpoint, subfolder="transformer").eval()
    vae = AutoencoderKLWan.from_pretrained(checkpoint, subfolder="vae").eval()
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    mean, deviation = (torch.tensor(vae.config[name]).view(1, -1, 1, 1, 1) for name in ("latents_mean", "latents_std"))
    with torch.inference_mode():
        latents = (vae.encode(video).latent_dist.mode() - mean) / deviation
        velocity = wan(latents, torch.tensor([400.0]), torch.zeros(1, 1, 8)).sample
        expected = vae.decode((latents - velocity) * deviation + mean).sample
        # Not bit for bit: weights mapped from a file lie at other addresses, which changes the kernels' order of sums.
        torch.testing.assert_close(model(video), expected, atol=1e-5, rtol=0)


def test_lora_starts_from_a_wan_folder_too(checkpoint: Path) -> None:
    source = ("pretrained=wan21", f"pretrained.backbone.source={checkpoint}")
    plain, weights = model_and_weights(*source)
    weights.load(plain)
    adapted, weights = model_and_weights(*source, "backbone=wan_lora")
    weights.load(adapted)
    video = torch.rand(1, 3, 5, 32, 32) * 2 - 1
    with torch.inference_mode():
        assert torch.equal(adapted.eval()(video), plain.eval()(video))


def test_a_missing_folder_says_where_to_get_it(checkpoint: Path, tmp_path: Path) -> None:
    for source in (tmp_path / "nowhere", tmp_path):
        model, weights = model_and_weights("pretrained=wan21", f"pretrained.backbone.source={source}")
        for act in (weights.check, weights.load):
            with pytest.raises(UserError, match=r"Wan-AI/Wan2\.1-T2V-1\.3B-Diffusers"):
                act(model)


def test_another_size_is_refused_before_loading(checkpoint: Path) -> None:
    model, weights = model_and_weights(
        "pretrained=wan21", f"pretrained.backbone.source={checkpoint}", "backbone.layers=1"
    )
    with pytest.raises(UserError, match="num_layers=2, this model 1"):
        weights.check(model)


def test_pickled_weights_are_not_read(checkpoint: Path, tmp_path: Path) -> None:
    for part in ("transformer", "vae"):
        (tmp_path / part).mkdir()
        config = (checkpoint / part / "config.json").read_text()
        (tmp_path / part / "config.json").write_text(config)
        torch.save({}, tmp_path / part / "diffusion_pytorch_model.bin")
    model, weights = model_and_weights("pretrained=wan21", f"pretrained.backbone.source={tmp_path}")
    with pytest.raises(UserError, match="cannot be read"):
        weights.load(model)


def test_a_part_that_is_not_wan_is_refused(checkpoint: Path) -> None:
    settings = check(resolve(load("train", [*SMALLEST, "pretrained=wan21", "backbone.patch_size=[1,1,1]"])))
    weights = build({**settings.pretrained, "backbone": NONE, "autoencoder": {**VAE, "source": str(checkpoint)}})
    model = build(settings.model)
    with pytest.raises(UserError, match="does not fit a PatchAutoencoder"):
        weights.check(model)


class TestText:
    def test_a_stored_embedding_travels_with_the_model(self, tmp_path: Path) -> None:
        embedding = torch.randn(1, 6, 8)
        save_file({"embedding": embedding}, tmp_path / "text.safetensors")
        changes = [
            *[text for text in SMALLEST if not text.startswith("text.")],
            "text=stored",
            "text.tokens=6",
            "text.dim=8",
            "pretrained/text=file",
            f"pretrained.text.path={tmp_path / 'text.safetensors'}",
        ]
        settings = check(resolve(load("train", changes)))
        model: Restorer = build(settings.model)
        build(settings.pretrained).load(model)
        model.save_pretrained(tmp_path / "model", settings.model)
        (tmp_path / "text.safetensors").unlink()
        assert torch.equal(Restorer.from_pretrained(tmp_path / "model").backbone.text.embedding, embedding)
        assert not any(parameter.shape == embedding.shape for parameter in model.parameters())

    def test_a_stored_embedding_without_its_file_is_refused(self) -> None:
        changes = [*[text for text in SMALLEST if not text.startswith("text.")], "text=stored", "text.dim=8"]
        settings = check(resolve(load("train", changes)))
        with pytest.raises(UserError, match="no embedding yet"):
            build(settings.pretrained).check(build(settings.model))

    def test_files_that_do_not_fit_are_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "text.safetensors"
        save_file({"embedding": torch.zeros(1, 3, 8)}, path)
        changes = ["pretrained/text=file", f"pretrained.text.path={path}"]
        model, weights = model_and_weights(*changes)
        with pytest.raises(UserError, match="text=stored"):
            weights.load(model)
        stored = [text for text in SMALL_WAN if not text.startswith("text.")]
        settings = check(resolve(load("train", [*stored, "text=stored", "text.tokens=6", "text.dim=8", *changes])))
        with pytest.raises(UserError, match=r"holds \(1, 3, 8\)"):
            build(settings.pretrained).load(build(settings.model))


def test_training_starts_from_the_folder_and_the_result_needs_it_no_more(
    checkpoint: Path, paired_shards: Path, tmp_path: Path
) -> None:
    settings = check(
        resolve(
            load(
                "train",
                [
                    *SMALL_WAN,
                    "pretrained=wan21",
                    f"pretrained.backbone.source={checkpoint}",
                    "data=shards",
                    f"data.source.train={paired_shards}",
                    f"data.source.held_out={paired_shards}",
                    "data.workers=0",
                    "logger=none",
                    *(f"stages.{name}.steps=1" for name in ("codebook", "prior", "restorer")),
                    "stages.restorer.module.learning_rate=1e-9",
                ],
            )
        )
    )
    check_parts(settings)
    trained = Chain(settings, RunFolder(tmp_path), NoRun()).train()
    start = WanTransformer3DModel.from_pretrained(checkpoint, subfolder="transformer").state_dict()
    for name, value in trained.backbone.transformer.state_dict().items():
        torch.testing.assert_close(value, start[name], atol=1e-6, rtol=0)
    reopened = Restorer.from_pretrained(RunFolder(tmp_path).model)
    video = torch.rand(1, 3, 5, 32, 32)
    assert torch.equal(reopened(video), trained(video))
