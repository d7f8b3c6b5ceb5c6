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


def test_a_weight_may_change_at_a_step() -> None:
    losses = WeightedLosses(
        {"reconstruction": 1.0, "temporal": [[0, 2.0], [3, 0.5]]},
        reconstruction=CharbonnierLoss(1e-6),
        temporal=FrameDifferenceLoss(),
    )
    totals = [losses(grey(0.5, 0.7), grey(0.5, 0.5), step)[0] for step in (0, 2, 3, 900)]
    torch.testing.assert_close(totals, [torch.tensor(total) for total in (0.5, 0.5, 0.2, 0.2)])


@pytest.mark.parametrize(
    ("weight", "fault"),
    [
        (-1.0, "0 or more"),
        (float("inf"), "0 or more"),
        ([[0, -1.0]], "0 or more"),
        ([0.2, 0.1], "pairs"),
        ([[0, 0.2, 1]], "pairs"),
        ([], "begin at step 0"),
        ([[1, 0.2]], "begin at step 0"),
        ([[0, 0.2], [5, 0.1], [5, 0.3]], "later ones"),
    ],
)
def test_a_weight_without_sense_is_refused(weight: object, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        WeightedLosses({"reconstruction": weight}, reconstruction=CharbonnierLoss())
