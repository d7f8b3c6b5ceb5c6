from math import log

import pytest
import torch
from tests.losses.clips import grey

from dvface.losses.reconstruction import AbsoluteLoss, CharbonnierLoss, LogarithmicLoss, MeanSquaredLoss


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


def test_the_logarithm_is_taken_of_each_clip_s_error() -> None:
    restored = torch.cat([grey(0.5, 0.0), grey(0.02, 0.0)])  # mean errors of 0.25 and 0.01
    clean = torch.zeros_like(restored)
    value = LogarithmicLoss(epsilon=1e-9, floor=0.0)(restored, clean, 0)
    torch.testing.assert_close(value, torch.tensor((log(0.25) + log(0.01)) / 2))


@pytest.mark.parametrize("size", [0.3, 0.003])
def test_halving_an_error_is_worth_the_same_whatever_its_size(size: float) -> None:
    loss, clean = LogarithmicLoss(epsilon=1e-9, floor=0.0), grey(0.0, 0.0)
    gained = loss(grey(size, size), clean, 0) - loss(grey(size / 2, size / 2), clean, 0)
    torch.testing.assert_close(gained, torch.tensor(log(2.0)))


def test_below_its_floor_an_error_is_hardly_worth_anything() -> None:
    loss, clean = LogarithmicLoss(floor=4e-3), grey(0.0, 0.0)
    worth = loss(grey(1e-4, 1e-4), clean, 0) - loss(grey(0.5e-4, 0.5e-4), clean, 0)
    assert 0 <= worth < 0.01
