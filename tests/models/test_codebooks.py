import copy
from math import log
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import distributed, multiprocessing
from torch.nn import functional

from dvface.contracts import Quantized
from dvface.models.codebooks.base import Quantizer, entry_use
from dvface.models.codebooks.finite_scalar import FiniteScalarQuantizer
from dvface.models.codebooks.learned import LearnedQuantizer
from dvface.models.codebooks.lookup_free import LookupFreeQuantizer
from dvface.models.codebooks.moving_average import CosineQuantizer, MovingAverageQuantizer
from dvface.models.codebooks.none import NoQuantizer
from dvface.models.codebooks.residual import ResidualQuantizer
from dvface.models.codebooks.simvq import SimQuantizer
from dvface.models.codebooks.usage import usage_divergence

KINDS = {
    "vq": lambda: LearnedQuantizer(8, 4),
    "moving_average": lambda: MovingAverageQuantizer(8, 4, usage_weight=0.1),
    "cosine": lambda: CosineQuantizer(8, 4, usage_weight=0.1),
    "fsq": lambda: FiniteScalarQuantizer([4, 3], 4),
    "lfq": lambda: LookupFreeQuantizer(8, 4),
    "simvq": lambda: SimQuantizer(8, 4),
    "residual": lambda: ResidualQuantizer(8, 4, levels=3),
}
TABLES = ["vq", "moving_average", "cosine", "simvq"]
every_kind = pytest.mark.parametrize("kind", KINDS)


def trained(kind: str, steps: int = 3) -> Quantizer:
    quantizer = KINDS[kind]().train()
    for _ in range(steps):
        quantizer(torch.randn(2, 3, 4, 4, 4))
    return quantizer.eval()


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class TestEveryKind:
    @every_kind
    @pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
    def test_indices_stand_for_the_features_bit_for_bit(self, kind: str, precision: torch.dtype) -> None:
        quantizer = trained(kind)
        features = torch.randn(2, 3, 4, 4, 4)
        with torch.autocast("cpu", dtype=precision, enabled=precision is not torch.float32):
            found = quantizer(features.to(precision))
            assert torch.equal(quantizer.lookup(found.indices), found.features)
        assert found.features.dtype == torch.float32
        assert found.features.shape == features.shape
        assert found.indices.shape == (2, 3, 4, 4, quantizer.levels)
        assert found.indices.dtype == torch.int64
        assert 0 <= found.indices.min() <= found.indices.max() < quantizer.entries
        assert found.loss.shape == found.perplexity.shape == found.usage.shape == ()

    @every_kind
    def test_autocast_changes_no_choice(self, kind: str) -> None:
        quantizer = trained(kind)
        features = torch.randn(2000, 4)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rounded = quantizer(features)
        assert torch.equal(rounded.indices, quantizer(features).indices)

    @every_kind
    def test_all_entries_can_be_looked_up_and_are_different(self, kind: str) -> None:
        quantizer = trained(kind)
        indices = torch.arange(quantizer.entries)[:, None].expand(-1, quantizer.levels)
        entries = quantizer.lookup(indices)
        assert entries.shape == (quantizer.entries, 4)
        assert len(entries.unique(dim=0)) == quantizer.entries

    @every_kind
    @pytest.mark.parametrize("steps", [0, 3])
    def test_evaluation_changes_nothing(self, kind: str, steps: int) -> None:
        quantizer = trained(kind, steps)
        before = copy.deepcopy(quantizer.state_dict())
        first = quantizer(3 * torch.randn(50, 4))
        assert same(before, quantizer.state_dict())
        assert torch.isfinite(first.features).all()

    @every_kind
    def test_the_order_of_a_batch_does_not_matter(self, kind: str) -> None:
        quantizer = trained(kind)
        features, order = torch.randn(40, 4), torch.randperm(40)
        one, other = quantizer(features), quantizer(features[order])
        assert torch.equal(one.indices[order], other.indices)
        torch.testing.assert_close((one.loss, one.perplexity), (other.loss, other.perplexity))

    @every_kind
    def test_a_saved_state_gives_the_same(self, kind: str) -> None:
        quantizer, features = trained(kind), torch.randn(40, 4)
        fresh = KINDS[kind]().eval()
        fresh.load_state_dict(quantizer.state_dict())
        assert torch.equal(fresh(features).features, quantizer(features).features)
        fresh.train()(features)
        quantizer.train()(features)
        if kind not in ("moving_average", "cosine", "residual"):  # their dead entries draw lots
            assert same(fresh.state_dict(), quantizer.state_dict())

    @every_kind
    def test_one_seed_gives_one_codebook(self, kind: str) -> None:
        states = []
        for _ in range(2):
            torch.manual_seed(7)
            states.append(trained(kind).state_dict())
        assert same(*states)

    @every_kind
    def test_gradients_reach_the_features(self, kind: str) -> None:
        quantizer = trained(kind).train()
        features = torch.randn(30, 4, requires_grad=True)
        (quantizer(features).features * torch.randn(30, 4)).sum().backward()
        assert features.grad is not None
        assert (features.grad.abs().sum(dim=1) > 0).float().mean() > 0.9

    @every_kind
    def test_prediction_is_scored_by_cross_entropy_and_read_by_the_best_score(self, kind: str) -> None:
        quantizer = trained(kind)
        target = quantizer(torch.randn(2, 3, 4, 4, 4))
        assert quantizer.outputs == quantizer.levels * quantizer.entries
        certain = 50.0 * functional.one_hot(target.indices, quantizer.entries).flatten(-2).float()
        side = quantizer.choose(certain)
        assert torch.equal(side.indices, target.indices)
        assert torch.equal(side.tokens, target.features)
        assert side.logits.shape == (2, 3, 4, 4, quantizer.levels, quantizer.entries)
        assert quantizer.prediction_loss(certain, target) < 1e-4
        undecided = quantizer.prediction_loss(torch.zeros_like(certain), target)
        assert undecided.item() == pytest.approx(log(quantizer.entries), rel=1e-4)


class TestTables:
    @pytest.mark.parametrize("kind", TABLES)
    def test_the_nearest_entry_is_chosen(self, kind: str) -> None:
        quantizer = trained(kind)
        features = torch.randn(5, 7, 4)
        entries = quantizer.lookup(torch.arange(8)[:, None])
        compared = functional.normalize(features, dim=-1) if kind == "cosine" else features
        by_hand = (compared[..., None, :] - entries).square().sum(-1).argmin(-1)
        assert torch.equal(quantizer(features).indices[..., 0], by_hand)

    @pytest.mark.parametrize("kind", ["vq", "moving_average", "simvq", "residual"])
    def test_gradients_pass_straight_through(self, kind: str) -> None:
        features, weights = torch.randn(30, 4, requires_grad=True), torch.randn(30, 4)
        (trained(kind).train()(features).features * weights).sum().backward()
        torch.testing.assert_close(features.grad, weights)

    def test_a_direction_s_gradient_is_the_normalised_feature_s(self) -> None:
        features, weights = torch.randn(30, 4, requires_grad=True), torch.randn(30, 4)
        (trained("cosine").train()(features).features * weights).sum().backward()
        expected = features.detach().clone().requires_grad_()
        (functional.normalize(expected, dim=-1) * weights).sum().backward()
        torch.testing.assert_close(features.grad, expected.grad)

    def test_directions_have_length_one_and_no_scale(self) -> None:
        quantizer, features = trained("cosine"), torch.randn(50, 4)
        found = quantizer(features)
        torch.testing.assert_close(found.features.norm(dim=-1), torch.ones(50))
        assert torch.equal(found.indices, quantizer(100 * features).indices)

    @pytest.mark.parametrize("kind", ["vq", "moving_average"])
    def test_the_first_batch_sets_the_entries_to_its_clusters(self, kind: str) -> None:
        quantizer = KINDS[kind]().train()
        centres = 10 * torch.randn(8, 4)
        quantizer(centres.repeat(32, 1) + 0.01 * torch.randn(256, 4))
        entries = quantizer.lookup(torch.arange(8)[:, None])
        assert torch.cdist(entries, centres).min(dim=1).values.max() < 5

    @pytest.mark.parametrize("kind", ["vq", "moving_average"])
    def test_an_entry_that_nobody_chooses_is_revived_and_survives(self, kind: str) -> None:
        quantizer = KINDS[kind]().train()
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1)), *quantizer.parameters()], lr=0.01)

        def step() -> None:
            optimizer.zero_grad()
            loss = quantizer(torch.randn(256, 4, requires_grad=True)).loss
            loss.backward()
            optimizer.step()

        step()
        users = quantizer.users if kind == "vq" else quantizer.codebook._codebook.cluster_size[0]
        with torch.no_grad():
            quantizer.table[0] = 1000.0
            users[0] = 0.0
            if kind == "moving_average":
                quantizer.codebook._codebook.embed_avg[0, 0] = 0.0
        step()
        assert quantizer.table[0].abs().max() < 10
        for _ in range(5):
            before = quantizer.table[0].detach().clone()
            step()
            assert (quantizer.table[0] - before).norm() < 2
            assert users[0] >= 1.0
        assert quantizer(torch.randn(256, 4)).usage == 1.0


class TestLearned:
    def test_its_entries_are_parameters(self) -> None:
        assert sum(parameter.numel() for parameter in LearnedQuantizer(1024, 256).parameters()) == 1024 * 256
        assert not list(MovingAverageQuantizer(8, 4).parameters())

    def test_the_loss_is_equation_3(self) -> None:
        quantizer = LearnedQuantizer(2, 1, commitment=0.25, usage_weight=0.0).train()
        quantizer.started.fill_(True)
        with torch.no_grad():
            quantizer.codes.copy_(torch.tensor([[0.0], [10.0]]))
        features = torch.tensor([[1.0], [8.0]], requires_grad=True)
        loss = quantizer(features).loss
        assert loss.item() == pytest.approx((1 + 0.25) * (1 + 4) / 2)
        loss.backward()
        assert features.grad.flatten().tolist() == pytest.approx([0.25 * 1, 0.25 * -2])
        assert quantizer.codes.grad.flatten().tolist() == pytest.approx([-1, 2])

    def test_frozen_entries_stay(self) -> None:
        quantizer = LearnedQuantizer(8, 4).train().requires_grad_(False)
        before = copy.deepcopy(quantizer.state_dict())
        quantizer(torch.randn(100, 4))
        assert same(before, quantizer.state_dict())

    @pytest.mark.parametrize("kind", ["vq", "simvq"])
    def test_training_brings_entries_to_the_features(self, kind: str) -> None:
        quantizer = KINDS[kind]().train()
        if kind == "vq":
            quantizer.started.fill_(True)  # its k-means would leave nothing to learn here
        optimizer = torch.optim.Adam(quantizer.parameters(), lr=0.02)
        features = 3 * torch.randn(256, 4)
        errors = []
        for _ in range(200):
            found = quantizer(features)
            errors.append(functional.mse_loss(found.features, features).item())
            optimizer.zero_grad()
            found.loss.backward()
            optimizer.step()
        assert errors[-1] < 0.8 * errors[0]


class TestMovingAverage:
    def test_it_learns_in_training_mode(self) -> None:
        quantizer = trained("moving_average").train()
        before = quantizer.table.clone()
        quantizer(2 * torch.randn(64, 4))
        assert not torch.equal(quantizer.table, before)

    def test_commitment_is_charged_in_evaluation_too(self) -> None:
        quantizer = MovingAverageQuantizer(8, 4, commitment=0.25).eval()
        features = torch.randn(50, 4)
        found = quantizer(features)
        torch.testing.assert_close(found.loss, 0.25 * functional.mse_loss(features, found.features))


class TestResidual:
    def test_levels_add_up_and_each_one_brings_it_nearer(self) -> None:
        quantizer = ResidualQuantizer(16, 4, levels=3).train()
        features = torch.randn(512, 4)
        for _ in range(10):
            quantizer(features)
        quantizer.eval()
        indices = quantizer(features).indices
        parts = [quantizer.books[level].table[indices[:, level]] for level in range(3)]
        torch.testing.assert_close(quantizer.lookup(indices), sum(parts))
        errors = [functional.mse_loss(features, sum(parts[: count + 1])).item() for count in range(3)]
        assert errors[2] < 0.7 * errors[1] < 0.5 * errors[0]


class TestScalarKinds:
    def test_finite_scalars_are_the_paper_s_grid(self) -> None:
        quantizer = FiniteScalarQuantizer([3, 5], 2).eval()  # as many channels as dim: no linear maps
        entries = quantizer.lookup(torch.arange(15)[:, None])
        grid = {(a, b / 2) for a in (-1, 0, 1) for b in (-2, -1, 0, 1, 2)}
        assert {tuple(entry) for entry in entries.tolist()} == grid
        assert quantizer(torch.tensor([[50.0, -50.0]])).features.tolist() == [[1.0, -1.0]]

    def test_bits_are_signs(self) -> None:
        quantizer = LookupFreeQuantizer(8, 3).eval()
        features = torch.randn(50, 3)
        assert torch.equal(quantizer(features).features, features.sign())


class TestUse:
    def test_perplexity_and_usage_by_hand(self) -> None:
        for indices, perplexity, usage in (([3, 3, 3], 1, 1 / 8), (range(8), 8, 1), ([0, 1], 2, 1 / 4)):
            found = entry_use(torch.tensor(list(indices))[:, None], 8)
            assert [value.item() for value in found] == pytest.approx([perplexity, usage])

    def test_levels_are_averaged(self) -> None:
        found = entry_use(torch.tensor([[0, 0], [0, 1]]), 2)
        assert [value.item() for value in found] == pytest.approx([1.5, 0.75])

    def test_divergence_is_zero_when_all_are_asked_for_alike_and_log_k_when_one_is(self) -> None:
        table = 100 * torch.eye(4)
        near = table + 0.1 * torch.randn(4, 4)
        assert usage_divergence(near, table).item() == pytest.approx(0, abs=1e-5)
        assert usage_divergence(near[:1].expand(9, -1), table).item() == pytest.approx(log(4), rel=1e-5)

    @given(scale=st.floats(0.01, 100), seed=st.integers(0, 1000))
    @settings(max_examples=20, deadline=None)
    def test_divergence_has_no_scale(self, scale: float, seed: int) -> None:
        torch.manual_seed(seed)
        features, table = torch.randn(50, 4), torch.randn(8, 4)
        value = usage_divergence(features, table)
        assert 0 <= value.item() <= log(8) + 1e-5
        torch.testing.assert_close(usage_divergence(scale * features, scale * table), value, rtol=1e-3, atol=1e-4)

    def test_following_it_brings_more_entries_into_use(self) -> None:
        features = torch.randn(256, 4, requires_grad=True)
        table = torch.randn(16, 4)
        with torch.no_grad():
            table[:8] += 4
        optimizer = torch.optim.Adam([features], lr=0.02)
        before = entry_use(torch.cdist(features, table).argmin(1)[:, None], 16)[0]
        for _ in range(300):
            optimizer.zero_grad()
            usage_divergence(features, table).backward()
            optimizer.step()
        after = entry_use(torch.cdist(features, table).argmin(1)[:, None], 16)[0]
        assert after > 1.2 * before


class TestNone:
    def test_features_stay_and_are_regressed(self) -> None:
        quantizer = NoQuantizer(4)
        features = torch.randn(2, 3, 4, 4, 4)
        found = quantizer(features)
        assert torch.equal(found.features, features)
        assert found.indices.shape == (2, 3, 4, 4, 0)
        assert quantizer.outputs == 4
        assert torch.equal(quantizer.choose(features).tokens, features)
        assert quantizer.prediction_loss(features + 2, found).item() == pytest.approx(4, rel=1e-5)
        with pytest.raises(TypeError, match="no entries"):
            quantizer.lookup(found.indices)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: LookupFreeQuantizer(12, 4), "entries must be a power of two.*12"),
        (lambda: FiniteScalarQuantizer([2, 4], 4), r"values .*at least 3, got \[2, 4\]"),
        (lambda: FiniteScalarQuantizer([], 4), "values"),
        (lambda: ResidualQuantizer(8, 4, levels=1), "levels must be at least 2, got 1"),
        (lambda: LearnedQuantizer(1, 4), "entries must be at least 2, got 1"),
        (lambda: MovingAverageQuantizer(8, 0), "dim must be at least 1, got 0"),
        (lambda: MovingAverageQuantizer(8, 4, decay=1.0), "decay must lie between 0 and 1, got 1.0"),
        (lambda: LearnedQuantizer(8, 4, dead_below=-1.0), "dead_below must not be negative"),
        (lambda: CosineQuantizer(8, 4, usage_weight=-1.0), "usage_weight must not be negative, got -1.0"),
    ],
)
def test_what_makes_no_codebook_is_refused(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def one_process(rank: int, folder: str) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(rank)
    made = {"vq": LearnedQuantizer(8, 4).train(), "moving_average": MovingAverageQuantizer(8, 4).train()}
    made["vq"].load_state_dict(torch.load(f"{folder}/start.pt"))
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    for step in range(4):
        for name, quantizer in made.items():
            if step == 2 and name == "vq":
                quantizer.users[:3] = 0.0
            quantizer(torch.randn(64, 4) + 20 * rank)
    torch.save({name: quantizer.state_dict() for name, quantizer in made.items()}, f"{folder}/{rank}.pt")
    distributed.destroy_process_group()


@pytest.mark.slow
def test_two_processes_keep_one_codebook_that_serves_both(tmp_path: Path) -> None:
    torch.save(LearnedQuantizer(8, 4).state_dict(), tmp_path / "start.pt")
    multiprocessing.spawn(one_process, args=(str(tmp_path),), nprocs=2)
    one, other = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    for name, entries in (("vq", "codes"), ("moving_average", "codebook._codebook.embed")):
        assert same(one[name], other[name])
        centres = one[name][entries].reshape(8, 4).mean(dim=1)
        assert centres.min() < 5
        assert centres.max() > 15


def test_a_shared_loss_is_a_scalar_that_training_can_minimise() -> None:
    for kind in KINDS:
        features = torch.randn(30, 4, requires_grad=True)
        found: Quantized = KINDS[kind]().train()(features)
        (found.features.square().mean() + found.loss).backward()
        assert torch.isfinite(features.grad).all()
