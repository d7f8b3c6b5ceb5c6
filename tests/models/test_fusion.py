from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from dvface.config.build import build
from dvface.config.compose import folder, groups, load, resolve
from dvface.config.schema import check
from dvface.contracts import Grid, PriorFeatures, PriorSide
from dvface.errors import UserError
from dvface.models.fusion.attention import CrossAttention
from dvface.models.fusion.base import Injection, NoInjection
from dvface.models.fusion.fusion import Fusion, Fusions
from dvface.models.fusion.grids import resample, rotate
from dvface.models.fusion.modulation import AdaptiveNorm, Modulation
from dvface.models.fusion.pointwise import Addition, Concatenation

TOKEN, PRIOR = 32, 16
GRID = Grid(frames=2, height=4, width=6)
INJECTIONS: dict[str, Callable[[], Injection]] = {
    "modulation by frame": lambda: Modulation(TOKEN, PRIOR, "frame"),
    "modulation by clip": lambda: Modulation(TOKEN, PRIOR, "clip"),
    "adaptive norm by frame": lambda: AdaptiveNorm(TOKEN, PRIOR, "frame"),
    "adaptive norm by clip": lambda: AdaptiveNorm(TOKEN, PRIOR, "clip"),
    "attention of tokens": lambda: CrossAttention(TOKEN, PRIOR, 16, 2, "tokens"),
    "attention of temporal": lambda: CrossAttention(TOKEN, PRIOR, 16, 2, "temporal"),
    "attention of spatial": lambda: CrossAttention(TOKEN, PRIOR, 16, 2, "spatial"),
    "addition": lambda: Addition(TOKEN, PRIOR),
    "concatenation": lambda: Concatenation(TOKEN, PRIOR, 16),
}
every_injection = pytest.mark.parametrize("make", INJECTIONS.values(), ids=INJECTIONS.keys())


def perturb(module: nn.Module) -> None:
    """Take every zero-initialised layer away from zero, as training would."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))


def side(batch: int = 2, frames: int = 2, height: int = 4, width: int = 6) -> PriorSide:
    tokens = torch.randn(batch, frames, height, width, PRIOR)
    return PriorSide(tokens, tokens.new_zeros(*tokens.shape[:4], 1, 8), torch.zeros(*tokens.shape[:4], 1).long())


def prior(batch: int = 2, height: int = 4, width: int = 6) -> PriorFeatures:
    return PriorFeatures(side(batch, 2, height, width), side(batch, 2, height, width))


def no_side() -> PriorSide:
    return PriorSide.empty(2, 2, 4, 6, like=torch.zeros(()))


def apply(injection: Injection, tokens: Tensor, which: PriorSide, grid: Grid = GRID) -> Tensor:
    return injection(tokens, which, PriorFeatures(which, which), grid)


@every_injection
class TestEveryInjection:
    @pytest.mark.parametrize("size", [(4, 6), (8, 12), (3, 5), (1, 1)])
    def test_is_exactly_the_identity_at_first_and_not_once_trained(self, make, size) -> None:
        injection, tokens, given = make(), 10 * torch.randn(2, 48, TOKEN), prior(2, *size)
        for chosen in (given.spatial, given.temporal):
            assert torch.equal(injection(tokens, chosen, given, GRID), tokens)
        perturb(injection)
        moved = injection(tokens, given.spatial, given, GRID)
        assert moved.shape == tokens.shape
        assert not torch.allclose(moved, tokens)

    def test_every_parameter_and_the_entries_get_a_gradient(self, make) -> None:
        injection = make()
        perturb(injection)
        chosen, tokens = side(), torch.randn(2, 48, TOKEN)
        chosen.tokens.requires_grad_()
        apply(injection, tokens, chosen).pow(3).sum().backward()
        for name, value in [*injection.named_parameters(), ("entries", chosen.tokens)]:
            assert value.grad is not None, name
            assert value.grad.abs().max() > 0, name

    def test_the_first_step_of_training_can_leave_zero(self, make) -> None:
        injection = make()
        apply(injection, torch.randn(2, 48, TOKEN), side()).pow(3).sum().backward()
        assert any(value.grad is not None and value.grad.abs().max() > 0 for value in injection.parameters())

    def test_each_clip_of_a_batch_hears_its_own_prior(self, make) -> None:
        injection, tokens, chosen = make(), torch.randn(3, 48, TOKEN), side(batch=3)
        perturb(injection)
        together = apply(injection, tokens, chosen)
        for clip in range(3):
            own = PriorSide(*(value[clip : clip + 1] for value in (chosen.tokens, chosen.logits, chosen.indices)))
            torch.testing.assert_close(apply(injection, tokens[clip : clip + 1], own), together[clip : clip + 1])

    def test_an_ablated_side_is_refused_with_the_remedy(self, make) -> None:
        with pytest.raises(ValueError, match="choose none for it in the fusion"):
            make()(torch.zeros(2, 48, TOKEN), no_side(), prior(), GRID)

    def test_autocast_keeps_the_tokens_type_and_nearly_their_values(self, make) -> None:
        injection, tokens, chosen = make(), torch.randn(2, 48, TOKEN), side()
        perturb(injection)
        exact = apply(injection, tokens, chosen)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = apply(injection, tokens.bfloat16(), chosen)
        assert rough.dtype == torch.bfloat16
        torch.testing.assert_close(rough.float(), exact, rtol=0.05, atol=0.05)

    def test_shapes_are_known_without_values(self, make) -> None:
        with torch.device("meta"):
            moved = apply(make().eval(), torch.empty(2, 48, TOKEN), side(height=3, width=5))
        assert moved.is_meta
        assert moved.shape == (2, 48, TOKEN)

    def test_its_weights_travel(self, make) -> None:
        one, other, tokens, chosen = make(), make(), torch.randn(2, 48, TOKEN), side()
        perturb(one)
        other.load_state_dict(one.state_dict())
        assert torch.equal(apply(one, tokens, chosen), apply(other, tokens, chosen))


class TestModulation:
    def test_scales_and_shifts_by_hand(self) -> None:
        tokens, chosen = torch.randn(2, 48, TOKEN), side()
        wanted = {Modulation: 1.5 * tokens + 2, AdaptiveNorm: tokens + 0.5 * normalised(tokens) + 2}
        for kind, expected in wanted.items():
            injection = kind(TOKEN, PRIOR)
            with torch.no_grad():
                injection.to_scale_shift[-1].bias[:TOKEN] = 0.5
                injection.to_scale_shift[-1].bias[TOKEN:] = 2.0
            torch.testing.assert_close(apply(injection, tokens, chosen), expected)

    @pytest.mark.parametrize("kind", [Modulation, AdaptiveNorm])
    def test_pools_places_always_and_frames_only_by_clip(self, kind) -> None:
        tokens, chosen = torch.randn(2, 48, TOKEN), side()
        mirrored = PriorSide(chosen.tokens.flip(2, 3), chosen.logits, chosen.indices)
        reversed_frames = PriorSide(chosen.tokens.flip(1), chosen.logits, chosen.indices)
        for pooling, forgets_time in (("frame", False), ("clip", True)):
            injection = kind(TOKEN, PRIOR, pooling)
            perturb(injection)
            moved = apply(injection, tokens, chosen)
            torch.testing.assert_close(apply(injection, tokens, mirrored), moved)
            assert torch.allclose(apply(injection, tokens, reversed_frames), moved, atol=1e-5) == forgets_time

    def test_adaptive_norm_is_as_strong_however_large_the_tokens(self) -> None:
        injection, tokens, chosen = AdaptiveNorm(TOKEN, PRIOR), torch.randn(2, 48, TOKEN), side()
        perturb(injection)
        added = apply(injection, tokens, chosen) - tokens
        torch.testing.assert_close(apply(injection, 100 * tokens, chosen) - 100 * tokens, added, rtol=1e-3, atol=1e-3)


def normalised(tokens: Tensor) -> Tensor:
    centred = tokens - tokens.mean(-1, keepdim=True)
    return centred / (centred.pow(2).mean(-1, keepdim=True) + 1e-5).sqrt()


class TestPointwise:
    def test_resampling_on_the_same_grid_changes_nothing(self) -> None:
        chosen = side()
        assert torch.equal(resample(chosen, GRID), chosen.tokens.flatten(0, 1).flatten(1, 2))

    def test_an_entry_grid_twice_as_fine_gives_means_of_four(self) -> None:
        chosen = side(height=8, width=12)
        means = chosen.tokens.unflatten(2, (4, 2)).unflatten(4, (6, 2)).mean(dim=(3, 5))
        torch.testing.assert_close(resample(chosen, GRID), means.flatten(0, 1).flatten(1, 2))

    def test_addition_by_hand(self) -> None:
        injection, tokens, chosen = Addition(TOKEN, PRIOR), torch.randn(2, 48, TOKEN), side()
        perturb(injection)
        entries = chosen.tokens.reshape(2, 48, PRIOR)
        expected = tokens + torch.einsum("bnc,dc->bnd", entries, injection.output.weight) + injection.output.bias
        torch.testing.assert_close(apply(injection, tokens, chosen), expected)

    def test_concatenation_by_hand(self) -> None:
        injection, tokens, chosen = Concatenation(TOKEN, PRIOR, 8), torch.randn(2, 48, TOKEN), side()
        perturb(injection)
        with torch.no_grad():
            for norm in (injection.token_norm, injection.prior_norm):
                norm.weight.fill_(1.0)
                norm.bias.zero_()
        both = torch.cat([normalised(tokens), normalised(chosen.tokens).reshape(2, 48, PRIOR)], dim=2)
        hidden = functional.gelu(both @ injection.hidden[0].weight.T + injection.hidden[0].bias)
        expected = tokens + hidden @ injection.output.weight.T + injection.output.bias
        torch.testing.assert_close(apply(injection, tokens, chosen), expected)

    @pytest.mark.parametrize("kind", [Addition, lambda *dims: Concatenation(*dims, 16)])
    def test_an_entry_reaches_the_token_at_its_place_only(self, kind) -> None:
        injection, tokens, chosen = kind(TOKEN, PRIOR), torch.randn(2, 48, TOKEN), side()
        perturb(injection)
        before = apply(injection, tokens, chosen)
        chosen.tokens[:, 1, 2, 3] = torch.randn(2, PRIOR)
        changed = (apply(injection, tokens, chosen) != before).any(dim=2)
        place = 24 + 2 * 6 + 3
        assert changed[:, place].all()
        assert changed.sum() == 2


class TestCrossAttention:
    def test_equals_attention_written_out(self) -> None:
        attention = CrossAttention(TOKEN, PRIOR, 16, 2)
        perturb(attention)
        tokens, chosen = torch.randn(1, 48, TOKEN), side(1, height=3, width=5)
        moved = apply(attention, tokens, chosen)
        for frame in range(2):
            own = tokens[0, 24 * frame : 24 * frame + 24]
            entries = attention.prior_norm(chosen.tokens[0, frame].reshape(15, PRIOR))
            query = attention.to_query(attention.query_norm(own))
            key, value = attention.to_key_value(entries).chunk(2, dim=-1)
            mixed = []
            for head in range(2):
                channels = slice(8 * head, 8 * head + 8)
                turned_query = turned(query[:, channels], 4, 6, 1.0, 1.0)
                turned_key = turned(key[:, channels], 3, 5, 4 / 3, 6 / 5)
                scores = (turned_query @ turned_key.conj().T).real / 8**0.5
                mixed.append(scores.softmax(dim=1) @ value[:, channels])
            expected = own + attention.output(torch.cat(mixed, dim=1))
            torch.testing.assert_close(moved[0, 24 * frame : 24 * frame + 24], expected, rtol=1e-4, atol=1e-5)

    @settings(deadline=None, max_examples=20)
    @given(shift=st.floats(-50, 50), distance=st.floats(-20, 20))
    def test_scores_depend_on_distance_alone(self, shift: float, distance: float) -> None:
        query, key = torch.randn(1, 1, 1, 16), torch.randn(1, 1, 1, 16)

        def score(row: float) -> Tensor:
            here, there = torch.tensor([row]), torch.tensor([row + distance])
            return (rotate(query, here, there) * rotate(key, there, here)).sum()

        torch.testing.assert_close(score(shift), score(0.0), rtol=1e-3, atol=1e-3)

    def test_a_frame_hears_its_own_entries_only(self) -> None:
        attention = CrossAttention(TOKEN, PRIOR, 16, 2)
        perturb(attention)
        tokens, chosen = torch.randn(2, 48, TOKEN), side()
        before = apply(attention, tokens, chosen)
        chosen.tokens[:, 1] = torch.randn(2, 4, 6, PRIOR)
        after = apply(attention, tokens, chosen)
        assert torch.equal(before[:, :24], after[:, :24])
        assert not torch.equal(before[:, 24:], after[:, 24:])

    def test_it_knows_where_an_entry_stands(self) -> None:
        attention = CrossAttention(TOKEN, PRIOR, 16, 2)
        perturb(attention)
        tokens, chosen = torch.zeros(2, 48, TOKEN), side()
        moved = apply(attention, tokens, chosen)
        chosen.tokens.copy_(chosen.tokens.flip(3).clone())
        assert not torch.allclose(moved, apply(attention, tokens, chosen))

    def test_queries_may_come_from_the_other_side(self) -> None:
        attention = CrossAttention(TOKEN, PRIOR, 16, 2, "temporal")
        perturb(attention)
        given, tokens = prior(), torch.randn(2, 48, TOKEN)
        added = attention(tokens, given.spatial, given, GRID) - tokens
        others = attention(3 * tokens, given.spatial, given, GRID) - 3 * tokens
        torch.testing.assert_close(added, others, rtol=1e-3, atol=1e-4)
        given.temporal.tokens.mul_(-1)
        assert not torch.allclose(attention(tokens, given.spatial, given, GRID) - tokens, added, atol=1e-4)

    def test_queries_from_an_ablated_side_are_refused(self) -> None:
        ablated = PriorFeatures(side(), no_side())
        with pytest.raises(ValueError, match="temporal prior"):
            CrossAttention(TOKEN, PRIOR, 16, 2, "temporal")(torch.zeros(2, 48, TOKEN), ablated.spatial, ablated, GRID)

    @pytest.mark.parametrize(("width", "heads"), [(12, 2), (0, 2), (16, 0)])
    def test_a_width_that_does_not_fit_the_heads_is_refused(self, width: int, heads: int) -> None:
        with pytest.raises(ValueError, match="no multiple of 4·heads"):
            CrossAttention(TOKEN, PRIOR, width, heads)


def turned(features: Tensor, height: int, width: int, row_step: float, column_step: float) -> Tensor:
    """Rotary embedding in complex numbers, independently of ours: pairs of channels turn with row, then column."""
    pairs = torch.view_as_complex(features.reshape(height, width, 4, 2).contiguous())
    frequencies = torch.tensor([1.0, 0.1])
    rows = (torch.arange(height) + 0.5)[:, None, None] * row_step * frequencies
    columns = (torch.arange(width) + 0.5)[None, :, None] * column_step * frequencies
    angles = torch.cat([rows.expand(-1, width, -1), columns.expand(height, -1, -1)], dim=2)
    return (pairs * torch.polar(torch.ones_like(angles), angles)).reshape(height * width, 4)


class TestFusion:
    def test_both_sides_matter(self) -> None:
        fusion = Fusion(INJECTIONS["modulation by frame"], INJECTIONS["attention of tokens"])
        tokens, given = torch.randn(2, 48, TOKEN), prior()
        assert torch.equal(fusion(tokens, given, GRID), tokens)
        perturb(fusion)
        moved = fusion(tokens, given, GRID)
        no_temporal = Fusion(temporal=NoInjection, spatial=lambda: fusion.spatial)
        no_spatial = Fusion(temporal=lambda: fusion.temporal, spatial=NoInjection)
        assert not torch.allclose(moved, no_temporal(tokens, given, GRID))
        assert not torch.allclose(moved, no_spatial(tokens, given, GRID))

    def test_the_temporal_side_comes_first(self) -> None:
        fusion = Fusion(INJECTIONS["modulation by frame"], INJECTIONS["addition"])
        tokens, given = torch.randn(2, 48, TOKEN), prior()
        with torch.no_grad():
            fusion.temporal.to_scale_shift[-1].bias[:TOKEN] = 1.0
            fusion.spatial.output.bias.fill_(3.0)
        torch.testing.assert_close(fusion(tokens, given, GRID), 2 * tokens + 3)

    def test_each_injection_gets_its_own_side(self) -> None:
        fusion = Fusion(INJECTIONS["addition"], INJECTIONS["addition"])
        perturb(fusion)
        tokens, given = torch.randn(2, 48, TOKEN), prior()
        after_temporal = apply(fusion.temporal, tokens, given.temporal)
        expected = apply(fusion.spatial, after_temporal, given.spatial)
        torch.testing.assert_close(fusion(tokens, given, GRID), expected)

    @settings(deadline=None, max_examples=20)
    @given(every=st.integers(1, 6), blocks=st.integers(1, 9))
    def test_one_stands_before_every_so_many_blocks(self, every: int, blocks: int) -> None:
        fusions = Fusions(INJECTIONS["addition"], INJECTIONS["addition"], every, blocks)
        active = [number for number, fusion in enumerate(fusions) if any(True for _ in fusion.parameters())]
        assert len(fusions) == blocks
        assert active == list(range(0, blocks, every))

    def test_blocks_share_no_weights(self) -> None:
        fusions = Fusions(INJECTIONS["addition"], INJECTIONS["addition"], 1, 3)
        parameters = list(fusions.parameters())
        assert len({parameter.data_ptr() for parameter in parameters}) == len(parameters) == 12

    def test_never_is_refused(self) -> None:
        with pytest.raises(ValueError, match=r"fusion\.every must be at least 1, got 0"):
            Fusions(NoInjection, NoInjection, 0, 4)


class TestConfigurations:
    sizes = (f"size.token_dim={TOKEN}", f"size.prior_dim={PRIOR}")

    @pytest.mark.parametrize(
        ("name", "temporal", "spatial"),
        [
            ("asymmetric", Modulation, CrossAttention),
            ("symmetric", CrossAttention, CrossAttention),
            ("swapped", CrossAttention, Modulation),
            ("addition", Addition, Addition),
            ("concatenation", Concatenation, Concatenation),
            ("adaptive_norm", AdaptiveNorm, AdaptiveNorm),
            ("none", NoInjection, NoInjection),
        ],
    )
    def test_every_fusion_is_what_it_is_called(self, name, temporal, spatial) -> None:
        tree = check(resolve(load("train", [f"fusion={name}", "fusion.every=2", *self.sizes]))).fusion
        fusions = build(tree)(blocks=3)
        assert [type(fusion.temporal) for fusion in fusions] == [temporal, NoInjection, temporal]
        assert [type(fusion.spatial) for fusion in fusions] == [spatial, NoInjection, spatial]
        tokens, given = torch.randn(2, 48, TOKEN), prior()
        for fusion in fusions:
            assert torch.equal(fusion(tokens, given, GRID), tokens)

    def test_the_list_above_is_complete(self) -> None:
        found = groups()
        assert set(found["fusion"]) == {
            "asymmetric", "symmetric", "swapped", "addition", "concatenation", "adaptive_norm", "none"
        }  # fmt: skip

    def test_both_sides_offer_the_same_injections(self) -> None:
        for name in groups()["fusion/spatial"]:
            spatial, temporal = (folder() / "fusion" / which / f"{name}.yaml" for which in ("spatial", "temporal"))
            assert spatial.read_text() == temporal.read_text()
        assert groups()["fusion/spatial"] == groups()["fusion/temporal"]

    def test_sides_and_numbers_can_be_overridden(self) -> None:
        overrides = ["fusion/temporal=concatenation", "fusion.temporal.width=24", "fusion.spatial.query=temporal"]
        fusion = build(check(resolve(load("train", [*overrides, *self.sizes]))).fusion)(blocks=1)[0]
        assert fusion.temporal.output.in_features == 24
        assert fusion.spatial.query == "temporal"

    def test_a_pooling_that_does_not_exist_is_refused(self) -> None:
        with pytest.raises(UserError, match=r"fusions\.temporal\.pooling='video'"):
            check(resolve(load("train", ["fusion.temporal.pooling=video"])))
