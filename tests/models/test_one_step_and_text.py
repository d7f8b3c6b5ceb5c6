from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.models.backbones.one_step import Flow, OneStep, Residual, Velocity
from dvface.models.backbones.text import LearnedText, StoredText


class TestOneStep:
    @settings(deadline=None, max_examples=30)
    @given(
        timestep=st.floats(0, 1000),
        value=st.floats(-10, 10, width=32),
        output=st.floats(-10, 10, width=32),
    )
    def test_by_hand(self, timestep: float, value: float, output: float) -> None:
        expected: dict[Callable[[float], OneStep], float] = {
            Velocity: value - output,
            Flow: value - timestep / 1000 * output,
            Residual: value + output,
        }
        for rule, wanted in expected.items():
            found = rule(timestep)(torch.tensor([value]), torch.tensor([output]))
            torch.testing.assert_close(found, torch.tensor([wanted]), rtol=1e-5, atol=1e-5)

    def test_flow_undoes_the_mixing_with_noise(self) -> None:
        clean, noise = torch.randn(2, 6, 3, 4, 6), torch.randn(2, 6, 3, 4, 6)
        mixed = 0.4 * noise + 0.6 * clean
        torch.testing.assert_close(Flow(400)(mixed, noise - clean), clean)

    @pytest.mark.parametrize("rule", [Velocity, Flow, Residual])
    @pytest.mark.parametrize("timestep", [-1, 1000.5])
    def test_a_timestep_out_of_range_is_refused(self, rule, timestep) -> None:
        with pytest.raises(ValueError, match="timestep must be within 0…1000"):
            rule(timestep)


class TestText:
    def test_one_null_token_learns(self) -> None:
        text = LearnedText(8)
        assert torch.equal(text(3), torch.zeros(3, 1, 8))
        text(3).sum().backward()
        assert torch.equal(text.embedding.grad, torch.full((1, 1, 8), 3.0))

    def test_a_stored_embedding_travels_and_does_not_learn(self) -> None:
        one, other = StoredText(4, 8), StoredText(4, 8)
        one.embedding.normal_()
        other.load_state_dict(one.state_dict())
        assert torch.equal(other(2), one.embedding.expand(2, 4, 8))
        assert not list(one.parameters())

    def test_sizes_below_one_are_refused(self) -> None:
        with pytest.raises(ValueError, match=r"text\.dim must be at least 1"):
            LearnedText(0)
        with pytest.raises(ValueError, match=r"text\.tokens and text\.dim must be at least 1"):
            StoredText(0, 8)
