from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from tests.conftest import SMALLEST

from dvface.config.build import build
from dvface.config.compose import load, resolve
from dvface.config.schema import check
from dvface.contracts import LatentLayout, Views
from dvface.errors import UserError
from dvface.models.codebooks.learned import LearnedQuantizer
from dvface.models.codebooks.none import NoQuantizer
from dvface.models.priors.branch import CodebookBranch, NoBranch
from dvface.models.priors.encoder import ConvolutionEncoder, PriorEncoder
from dvface.models.priors.encoder_latent import LatentEncoder
from dvface.models.priors.encoder_timm import TimmEncoder
from dvface.models.priors.extractors import AttentionDifference, Extractor, LocalEnhancement
from dvface.models.priors.layers import group_frames
from dvface.models.priors.predictor import CodePredictor
from dvface.models.priors.prior import DualPrior, SharedPrior
from dvface.models.priors.temporal import (
    FlowDifference,
    FrameDifference,
    TemporalAttention,
    TemporalConvolution,
    displaced,
)
from dvface.models.restorer import Restorer

LAYOUT = LatentLayout(channels=6, spatial_stride=8, temporal_stride=4)
DIFFERENCES = {
    "attention_difference": lambda: AttentionDifference(16, heads=2),
    "difference": FrameDifference,
    "flow_difference": lambda: FlowDifference(16, width=8),
}
STATIC = {
    "attention": lambda: TemporalAttention(16, heads=2),
    "convolution": lambda: TemporalConvolution(16, frames=3),
}
ENCODERS = {
    "convolution": lambda: ConvolutionEncoder([8, 8, 8], 1, 16, LAYOUT),
    "latent": lambda: LatentEncoder(16, 1, 16, LAYOUT),
    "timm": lambda: TimmEncoder("mobilenetv3_small_050", 8, 16, LAYOUT),
}


def perturbed(module: torch.nn.Module) -> torch.nn.Module:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return module


def views(video: torch.Tensor) -> Views:
    """Latents are each latent frame's first frame, in blocks of 8 pixels, twice."""

    def encode(pixels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.avg_pool3d(pixels[:, :, ::4], (1, 8, 8)).repeat(1, 2, 1, 1, 1)

    return Views(video, encode, (video.shape[2] - 1) // 4 + 1)


class TestTemporalFeatures:
    @pytest.mark.parametrize("kind", DIFFERENCES)
    @pytest.mark.parametrize("frames", [9, 3, 1])
    def test_a_static_clip_has_no_motion_whatever_was_learned(self, kind: str, frames: int) -> None:
        still = torch.randn(2, 1, 4, 6, 16).expand(-1, frames, -1, -1, -1)
        latent_frames = {9: 3, 3: 3, 1: 1}[frames]
        features = perturbed(DIFFERENCES[kind]())(still, latent_frames)
        assert features.shape == (2, latent_frames, 4, 6, 16)
        assert features.abs().max() < 2e-5

    @pytest.mark.parametrize("kind", DIFFERENCES)
    def test_a_moving_clip_has_some_and_none_in_its_first_frame(self, kind: str) -> None:
        features = perturbed(DIFFERENCES[kind]())(torch.randn(2, 9, 4, 6, 16), 3)
        assert features[:, 0].abs().max() == 0
        assert features[:, 1:].abs().mean() > 0.01

    @pytest.mark.parametrize("kind", STATIC)
    def test_what_takes_no_difference_sees_a_static_clip_the_same_in_every_frame(self, kind: str) -> None:
        still = torch.randn(2, 1, 4, 6, 16).expand(-1, 9, -1, -1, -1)
        features = STATIC[kind]()(still, 3)
        assert features.shape == (2, 3, 4, 6, 16)
        assert features.abs().mean() > 0.01
        torch.testing.assert_close(features, features[:, :1].expand_as(features))

    @pytest.mark.parametrize("kind", [*DIFFERENCES, *STATIC])
    def test_features_on_latent_frames_serve_as_well(self, kind: str) -> None:
        extractor = {**DIFFERENCES, **STATIC}[kind]()
        assert extractor(torch.randn(2, 3, 4, 6, 16), 3).shape == (2, 3, 4, 6, 16)

    @pytest.mark.parametrize("kind", [*DIFFERENCES, *STATIC])
    def test_each_clip_stands_alone_and_states_reopen_and_shapes_need_no_memory(self, kind: str) -> None:
        make = {**DIFFERENCES, **STATIC}[kind]
        extractor, clips = perturbed(make()), torch.randn(3, 9, 4, 6, 16)
        fresh = make()
        fresh.load_state_dict(extractor.state_dict())
        found = extractor(clips, 3)
        assert torch.equal(fresh(clips, 3), found)
        torch.testing.assert_close(fresh(clips[[2]], 3), found[[2]], rtol=1e-4, atol=1e-5)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            torch.testing.assert_close(extractor(clips, 3).float(), found, rtol=0.1, atol=0.2)
        with torch.device("meta"):
            assert make()(torch.zeros(3, 9, 4, 6, 16), 3).shape == found.shape

    def test_a_difference_is_the_sum_of_a_latent_frame_s_steps(self) -> None:
        ramp = torch.tensor([0.0, 1, 3, 6, 10, 10, 10, 10, 8]).view(1, 9, 1, 1, 1)
        assert FrameDifference()(ramp, 3).flatten().tolist() == [0, 10, -2]

    def test_convolution_is_causal(self) -> None:
        extractor, clip = STATIC["convolution"](), torch.randn(1, 9, 4, 6, 16)
        changed = clip.clone()
        changed[:, 5:] = 0
        before, after = extractor(clip, 3), extractor(changed, 3)
        torch.testing.assert_close(before[:, :2], after[:, :2])
        assert not torch.allclose(before[:, 2], after[:, 2])

    def test_convolution_over_one_frame_is_refused(self) -> None:
        with pytest.raises(ValueError, match="frames must be at least 2, got 1"):
            TemporalConvolution(16, frames=1)

    def test_untrained_flow_is_the_plain_difference(self) -> None:
        clip = torch.randn(2, 9, 4, 6, 16)
        flow, plain = FlowDifference(16, width=8)(clip, 3), FrameDifference()(clip, 3)
        torch.testing.assert_close(flow, plain, rtol=1e-4, atol=1e-4)

    def test_a_displacement_of_whole_columns_or_rows_is_a_shift(self) -> None:
        images = torch.randn(2, 3, 5, 7)
        columns, rows = torch.zeros(2, 2, 5, 7), torch.zeros(2, 2, 5, 7)
        columns[:, 0], rows[:, 1] = 2, -1
        torch.testing.assert_close(displaced(images, columns)[..., :5], images[..., 2:], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(displaced(images, columns)[..., 6], images[..., 6], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(displaced(images, rows)[:, :, 1:], images[:, :, :4], rtol=1e-4, atol=1e-5)

    def test_flow_learns_to_explain_a_shift(self) -> None:
        wave = torch.sin(torch.linspace(0, 9, 32)).view(1, 1, 1, 32, 1) + torch.rand(1, 1, 8, 1, 4)
        clip = torch.cat([wave.expand(-1, -1, -1, -1, 4), wave.roll(1, dims=3).expand(-1, -1, -1, -1, 4)], dim=1)
        extractor = FlowDifference(4, width=8)
        optimizer = torch.optim.Adam(extractor.parameters(), lr=0.01)
        errors = []
        for _ in range(60):
            errors.append(extractor(clip, 2).square().mean())
            optimizer.zero_grad()
            errors[-1].backward()
            optimizer.step()
        assert errors[-1] < 0.5 * errors[0]


def test_frames_are_grouped_first_alone_then_by_four() -> None:
    frames = torch.arange(9.0).view(1, 9, 1, 1, 1)
    assert group_frames(frames, 3).flatten().tolist() == [0.0, 2.5, 6.5]


class TestEncoders:
    @pytest.mark.parametrize("kind", ENCODERS)
    def test_features_stand_on_the_stride_s_grid(self, kind: str) -> None:
        encoder = ENCODERS[kind]()
        features = encoder(views(torch.rand(2, 3, 9, 32, 48) * 2 - 1))
        assert features.shape == (2, 3 if kind == "latent" else 9, 4, 6, 16)
        assert encoder.spatial_stride == 8
        assert features.std() > 1e-3
        with torch.device("meta"):
            assert ENCODERS[kind]().eval()(views(torch.zeros(2, 3, 9, 32, 48))).shape == features.shape

    @pytest.mark.parametrize("kind", ENCODERS)
    def test_each_clip_stands_alone_in_training_too(self, kind: str) -> None:
        encoder, video = ENCODERS[kind]().train(), torch.rand(3, 3, 5, 32, 32) * 2 - 1
        state = {name: value.clone() for name, value in encoder.state_dict().items()}
        together = encoder(views(video))
        torch.testing.assert_close(encoder(views(video[[2]])), together[[2]], rtol=1e-3, atol=1e-4)
        assert all(torch.equal(value, state[name]) for name, value in encoder.state_dict().items())
        fresh = ENCODERS[kind]().train()
        fresh.load_state_dict(state)
        assert torch.equal(fresh(views(video)), together)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.isfinite(encoder(views(video))).all()

    @pytest.mark.parametrize("name", ["mobilenetv3_small_050", "convnext_atto", "resnet10t"])
    def test_all_of_a_timm_encoder_learns_but_its_statistics(self, name: str) -> None:
        encoder = TimmEncoder(name, 8, 16, LAYOUT).train()
        encoder(views(torch.rand(1, 3, 5, 32, 32))).square().sum().backward()
        assert all(parameter.grad is not None for parameter in encoder.parameters())

    def test_pixels_reach_timm_as_it_expects_them(self) -> None:
        encoder = TimmEncoder("convnext_atto", 8, 16, LAYOUT)
        seen = []
        encoder.network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
        encoder(views(torch.ones(1, 3, 1, 32, 32)))
        expected = (1 - torch.tensor([0.485, 0.456, 0.406])) / torch.tensor([0.229, 0.224, 0.225])
        torch.testing.assert_close(seen[0][0, :, 0, 0], expected)

    @pytest.mark.parametrize(
        ("name", "reduction", "words"),
        [
            ("convnext_ato", 8, "convnext_ato; did you mean 'convnext"),
            ("convnext_atto", 2, r"reduction=2 is not among those of convnext_atto: \[4, 8, 16, 32\]"),
            ("vit_tiny_patch16_224", 16, "one frame size only"),
        ],
    )
    def test_a_network_that_does_not_serve_is_refused(self, name: str, reduction: int, words: str) -> None:
        with pytest.raises(ValueError, match=words):
            TimmEncoder(name, reduction, 16, LAYOUT)

    @pytest.mark.parametrize("ending", ["safetensors", "pth"])
    @pytest.mark.parametrize("name", ["convnext_atto", "mobilenetv3_small_050"])
    def test_weights_of_the_whole_network_are_taken_over(self, name: str, ending: str, tmp_path: Path) -> None:
        whole = perturbed(timm.create_model(name)).eval()
        path = tmp_path / f"weights.{ending}"
        (save_file if ending == "safetensors" else torch.save)(whole.state_dict(), path)
        encoder = TimmEncoder(name, 8, 16, LAYOUT).eval()
        encoder.load_weights(path)
        images = torch.rand(2, 3, 32, 48)
        stage = whole.feature_info.info if hasattr(whole.feature_info, "info") else whole.feature_info
        index = next(number for number, part in enumerate(stage) if part["reduction"] == 8)
        expected = whole.forward_intermediates(images, indices=[index], intermediates_only=True)[0]
        torch.testing.assert_close(encoder.network(images)[0], expected)

    def test_weights_that_do_not_fit_are_refused_in_a_sentence(self, tmp_path: Path) -> None:
        encoder = TimmEncoder("convnext_atto", 8, 16, LAYOUT)
        before = {name: value.clone() for name, value in encoder.state_dict().items()}
        with pytest.raises(UserError, match=r"missing\.pth does not exist"):
            encoder.load_weights(tmp_path / "missing.pth")
        (tmp_path / "text.safetensors").write_text("no tensors")
        save_file({}, tmp_path / "empty.safetensors")
        torch.save(timm.create_model("mobilenetv3_small_050").state_dict(), tmp_path / "other.pth")
        for file in ("text.safetensors", "empty.safetensors", "other.pth"):
            with pytest.raises(UserError, match=f"{file} holds no weights of timm's convnext_atto"):
                encoder.load_weights(tmp_path / file)
        assert all(torch.equal(value, before[name]) for name, value in encoder.state_dict().items())

    def test_latent_channels_that_cannot_be_normalised_are_refused(self) -> None:
        with pytest.raises(ValueError, match="channels must be a multiple of 8, got 12"):
            LatentEncoder(12, 1, 16, LAYOUT)


def branch(extractor: Extractor):
    return lambda outputs: CodebookBranch(
        extractor, lambda outputs: CodePredictor(16, depth=1, heads=2, outputs=outputs), outputs
    )


def encoder(layout: LatentLayout) -> PriorEncoder:
    return ConvolutionEncoder([8, 8, 8], 1, 16, layout)


def dual(**changes) -> DualPrior:
    parts = {
        "spatial": branch(LocalEnhancement(16)),
        "temporal": branch(FrameDifference()),
        "spatial_codebook": LearnedQuantizer(8, 16),
        "temporal_codebook": LearnedQuantizer(4, 16),
    }
    return DualPrior(encoder=encoder, layout=LAYOUT, **{**parts, **changes})


class TestPrior:
    def test_its_tokens_are_the_entries_that_it_predicts(self, smallest_model: Restorer) -> None:
        prior = smallest_model.eval().prior
        found = prior(smallest_model.views(torch.rand(2, 3, 9, 32, 48)))
        for name, side in (("spatial", found.spatial), ("temporal", found.temporal)):
            assert side.tokens.shape == (2, 3, 4, 6, 16)
            assert side.logits.shape == (2, 3, 4, 6, 1, 16)
            assert torch.equal(side.indices, side.logits.argmax(-1))
            assert torch.equal(side.tokens, prior.codebook(name).lookup(side.indices))

    def test_each_side_has_its_own_codebook(self) -> None:
        prior = dual().train()
        own = prior.extract(views(torch.rand(2, 3, 9, 32, 32)))
        found = prior.quantize(own)
        assert len(prior.codebooks) == 2
        assert found["spatial"].indices.max() >= 4 > found["temporal"].indices.max()

    def test_an_ablated_side_is_empty_and_its_codebook_gone(self) -> None:
        prior = dual(temporal=NoBranch).eval()
        found = prior(views(torch.rand(2, 3, 9, 32, 32)))
        assert found.temporal.tokens.shape == (2, 3, 4, 4, 0)
        assert len(prior.codebooks) == 1
        assert not any("temporal" in name for name in prior.state_dict())

    def test_without_a_codebook_the_prior_regresses_features(self) -> None:
        prior = dual(spatial_codebook=NoQuantizer(16)).eval()
        clip = views(torch.rand(2, 3, 9, 32, 32))
        found = prior(clip).spatial
        assert torch.equal(found.tokens, prior.spatial.score(prior.extract(clip)["spatial"]))
        assert found.indices.shape == (2, 3, 4, 4, 0)

    def test_one_codebook_for_both_learns_once_from_both(self) -> None:
        book = LearnedQuantizer(8, 16)
        prior = SharedPrior(
            encoder=encoder,
            spatial=branch(LocalEnhancement(16)),
            temporal=branch(FrameDifference()),
            shared_codebook=book,
            layout=LAYOUT,
        ).train()
        assert prior.codebooks == [book]
        own = prior.extract(views(torch.rand(2, 3, 9, 32, 32)))
        before = book.users.clone()
        prior.quantize(own)
        counts = (book.users - 0.99 * before) / 0.01
        assert counts.sum().item() == pytest.approx(2 * 2 * 3 * 4 * 4, rel=1e-3)
        prior.eval()
        found = prior.quantize(own)
        for name, side in found.items():
            assert torch.equal(side.features, book(own[name]).features)
            assert torch.equal(side.features, book.lookup(side.indices))
        both = book(torch.cat([own["spatial"], own["temporal"]]))
        torch.testing.assert_close(found["spatial"].loss + found["temporal"].loss, both.loss)
        assert found["spatial"].perplexity == found["temporal"].perplexity == both.perplexity


@pytest.mark.parametrize(
    "choice",
    [
        f"prior/{group}={path.stem}"
        for group in ("encoder", "spatial", "temporal")
        for path in sorted(Path("conf/prior", group).glob("*.yaml"))
    ],
)
def test_every_variant_serves_a_whole_restorer(choice: str) -> None:
    smallest = [change for change in SMALLEST if not change.startswith("prior.encoder.")]
    ablation = {"prior/spatial=none": ["fusion/spatial=none"], "prior/temporal=none": ["fusion/temporal=none"]}
    if choice == "prior/spatial=none":
        smallest = [change for change in smallest if not change.startswith("fusion.spatial.")]
    settings = check(resolve(load("train", [*smallest, choice, *ablation.get(choice, [])])))
    with torch.device("meta"):
        model = build(settings.model).eval()
        video = torch.zeros(2, 3, 9, 32, 48)
        assert model(video).shape == video.shape
