import pytest
import torch
from tests.losses.clips import RedJudge, grey

from dvface.losses.adversarial import AdversarialLoss
from dvface.losses.none import NoLoss
from dvface.losses.reconstruction import CharbonnierLoss
from dvface.losses.temporal import FrameDifferenceLoss
from dvface.losses.weighted import WeightedLosses


def test_terms_are_weighted_and_reported_unweighted() -> None:
    losses = WeightedLosses(
        {"reconstruction": 2.0, "temporal": 0.5},
        reconstruction=CharbonnierLoss(1e-6),
        temporal=FrameDifferenceLoss(),
    )
    total, values = losses(grey(0.5, 0.7), grey(0.5, 0.5), 0)
    torch.testing.assert_close(values["reconstruction"], torch.tensor(0.1))
    torch.testing.assert_close(values["temporal"], torch.tensor(0.2))
    torch.testing.assert_close(total, torch.tensor(0.3))


def test_the_parts_of_a_term_are_reported_and_counted_once() -> None:
    losses = WeightedLosses(
        {"adversarial": 0.1, "identity": 5.0}, adversarial=AdversarialLoss(RedJudge(1.0), frames=1), identity=NoLoss()
    )
    total, values = losses(grey(0.5), grey(0.25), 0)
    expected = {
        "adversarial": 1.75,
        "adversarial_generator": -0.5,
        "adversarial_discriminator": 2.25,  # (1 - .25) + (1 + .5)
    }
    assert {name: value.item() for name, value in values.items()} == pytest.approx(expected)
    assert total.item() == pytest.approx(0.175)


def test_a_term_without_a_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="same names"):
        WeightedLosses({}, reconstruction=CharbonnierLoss())


def test_a_term_with_a_first_step_joins_the_training_there_and_is_always_held_out() -> None:
    losses = WeightedLosses(
        {"reconstruction": 1.0, "temporal": 1.0},
        {"temporal": 3},
        reconstruction=CharbonnierLoss(1e-6),
        temporal=FrameDifferenceLoss(),
    )
    clips = grey(0.5, 0.7), grey(0.5, 0.5)
    totals = [losses(*clips, step)[0] for step in (2, 3)]
    torch.testing.assert_close(totals, [torch.tensor(0.1), torch.tensor(0.3)])
    assert "temporal" not in losses(*clips, 2)[1]
    torch.testing.assert_close(losses.eval()(*clips, 2)[0], torch.tensor(0.3))


@pytest.mark.parametrize(
    ("first_steps", "fault"),
    [
        ({"perceptual": 3}, "not a term"),
        ({"temporal": -1}, "0 or more"),
        ({"temporal": 0.5}, "0 or more"),
        ({"temporal": 1, "reconstruction": 1}, "nothing is learned"),
    ],
)
def test_first_steps_without_a_term_or_sense_are_refused(first_steps: dict[str, int], fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        WeightedLosses(
            {"reconstruction": 1.0, "temporal": 1.0},
            first_steps,
            reconstruction=CharbonnierLoss(1e-6),
            temporal=FrameDifferenceLoss(),
        )
