import torch

from dvface.models.codebooks.quantizer import MovingAverageQuantizer, perplexity
from dvface.models.priors.extractors import AttentionDifference
from dvface.models.priors.layers import group_frames
from dvface.models.restorer import Restorer


def test_a_static_clip_has_no_temporal_features() -> None:
    still = torch.randn(2, 1, 4, 6, 16).expand(-1, 9, -1, -1, -1)
    features = AttentionDifference(16, heads=2)(still)
    assert features.shape == (2, 3, 4, 6, 16)
    assert features.abs().max() < 1e-5


def test_a_moving_clip_has_some_and_none_in_its_first_frame() -> None:
    features = AttentionDifference(16, heads=2)(torch.randn(2, 9, 4, 6, 16))
    assert features[:, 0].abs().max() == 0
    assert features[:, 1:].abs().mean() > 0.01


def test_frames_are_grouped_first_alone_then_by_four() -> None:
    frames = torch.arange(9.0).view(1, 9, 1, 1, 1)
    assert group_frames(frames, 4).flatten().tolist() == [0.0, 2.5, 6.5]


def test_the_prior_s_tokens_are_the_entries_that_it_predicts(smallest_model: Restorer) -> None:
    prior = smallest_model.eval().prior(torch.rand(2, 3, 9, 32, 48))
    for side, branch in (
        (prior.spatial, smallest_model.prior.spatial),
        (prior.temporal, smallest_model.prior.temporal),
    ):
        assert side.tokens.shape == (2, 3, 4, 6, 16)
        assert side.logits.shape == (2, 3, 4, 6, 16)
        assert torch.equal(side.indices, side.logits.argmax(-1))
        assert torch.equal(side.tokens, branch.quantizer.lookup(side.indices))


class TestQuantizer:
    def test_it_chooses_the_nearest_entry(self) -> None:
        quantizer = MovingAverageQuantizer(entries=8, dim=4).eval()
        features = torch.randn(5, 7, 4)
        quantized = quantizer(features)
        entries = quantizer.lookup(torch.arange(8))
        nearest = torch.cdist(features.view(-1, 4), entries).argmin(1).view(5, 7)
        assert torch.equal(quantized.indices, nearest)
        torch.testing.assert_close(quantized.features, entries[nearest])

    def test_gradients_pass_straight_through(self) -> None:
        features = torch.randn(5, 4, requires_grad=True)
        MovingAverageQuantizer(entries=8, dim=4).train()(features).features.sum().backward()
        torch.testing.assert_close(features.grad, torch.ones_like(features))

    def test_it_learns_in_training_mode_and_only_there(self) -> None:
        quantizer = MovingAverageQuantizer(entries=8, dim=4)
        features = torch.randn(64, 4)
        quantizer.train()(features)  # the first batch sets the entries
        before = quantizer.lookup(torch.arange(8)).clone()
        quantizer.eval()(2 * features)
        assert torch.equal(quantizer.lookup(torch.arange(8)), before)
        quantizer.train()(2 * features)
        assert not torch.equal(quantizer.lookup(torch.arange(8)), before)

    def test_an_entry_that_nobody_chooses_is_revived_and_survives(self) -> None:
        quantizer = MovingAverageQuantizer(entries=4, dim=2, dead_below=1.0).train()
        centres = torch.tensor([[5.0, 5.0], [-5.0, 5.0], [5.0, -5.0], [-5.0, -5.0]])

        def batch() -> torch.Tensor:
            return centres.repeat(16, 1) + 0.1 * torch.randn(64, 2)

        quantizer(batch())
        quantizer.codebook._codebook.embed.data[0, 0] = torch.tensor([1000.0, 1000.0])
        quantizer.codebook._codebook.cluster_size.data[0, 0] = 0.0
        for _ in range(3):
            quantizer(batch())
        assert quantizer.lookup(torch.arange(4)).abs().max() < 10

    def test_perplexity_counts_the_entries_in_use(self) -> None:
        assert perplexity(torch.tensor([3, 3, 3]), 8).item() == 1.0
        torch.testing.assert_close(perplexity(torch.arange(8), 8), torch.tensor(8.0))
        torch.testing.assert_close(perplexity(torch.tensor([0, 1]), 8), torch.tensor(2.0))
