import pytest
import torch
from tests.losses.clips import grey

from dvface.losses.reconstruction import AbsoluteLoss, CharbonnierLoss, MeanSquaredLoss


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        (CharbonnierLoss(epsilon=1e-6), 0.2),
        (CharbonnierLoss(epsilon=0.4), (0.5 + 0.17**0.5) / 2),  # √(.3² + .4²) and √(.1² + .4²)
        (AbsoluteLoss(), 0.2),
        (MeanSquaredLoss(), 0.05),
    ],
)
def test_reconstruction_is_the_mean_distance(loss, expected: float) -> None:
    torch.testing.assert_close(loss(grey(0.5, 0.0), grey(0.2, 0.1), 0), torch.tensor(expected))


def test_charbonnier_has_a_gradient_at_zero() -> None:
    restored = grey(0.1, 0.2).clone().requires_grad_(True)
    CharbonnierLoss()(restored, restored.detach(), 0).backward()
    assert restored.grad is not None
    assert torch.isfinite(restored.grad).all()


def test_the_squared_error_takes_latents_too() -> None:
    restored = torch.zeros(2, 16, 3, 4, 5, requires_grad=True)
    clean = torch.zeros(2, 16, 3, 4, 5)
    clean[1, 7, 2] = 2.0
    value = MeanSquaredLoss()(restored, clean, 0)
    value.backward()
    torch.testing.assert_close(value, torch.tensor(4 / (2 * 16 * 3)))
    assert restored.grad[1, 7, 2].unique().tolist() == pytest.approx([-4 / (2 * 16 * 3 * 4 * 5)])
    assert restored.grad[0].abs().max() == 0
