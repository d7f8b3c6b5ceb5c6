import pytest
import torch

from dvface.losses.perceptual import PerceptualLoss
from dvface.losses.reconstruction import CharbonnierLoss
from dvface.losses.temporal import FrameDifferenceLoss
from dvface.losses.weighted import WeightedLosses
from dvface.perception.perceptual import ShiftTolerantLPIPS


def video(*values: float) -> torch.Tensor:
    """One clip whose frames are flat grey of these values."""
    return torch.tensor(values).view(1, 1, -1, 1, 1).expand(1, 3, -1, 64, 64)


def test_reconstruction_is_the_mean_distance() -> None:
    loss = CharbonnierLoss(epsilon=1e-6)
    torch.testing.assert_close(loss(video(0.5, 0.0), video(0.2, 0.1), 0), torch.tensor(0.2))


def test_reconstruction_has_a_gradient_at_zero() -> None:
    restored = video(0.1, 0.2).clone().requires_grad_(True)
    CharbonnierLoss()(restored, restored.detach(), 0).backward()
    assert restored.grad is not None
    assert torch.isfinite(restored.grad).all()


def test_temporal_loss_ignores_a_constant_error_and_sees_flicker() -> None:
    clean = video(0.0, 0.1, 0.2)
    torch.testing.assert_close(FrameDifferenceLoss()(clean + 0.3, clean, 0), torch.tensor(0.0), atol=1e-7, rtol=0)
    flicker = video(0.0, 0.3, 0.2)
    torch.testing.assert_close(FrameDifferenceLoss()(flicker, clean, 0), torch.tensor(0.2))


class TestPerceptual:
    def test_it_is_zero_for_equal_clips_and_grows_with_noise(self, carphone) -> None:
        clean = torch.from_numpy(carphone[:4, 40:104, 60:124]).permute(3, 0, 1, 2)[None] / 127.5 - 1
        loss = PerceptualLoss(ShiftTolerantLPIPS("alex"), frames=2)
        noise = torch.randn_like(clean)
        values = [loss(clean + scale * noise, clean, 0).item() for scale in (0.0, 0.05, 0.2)]
        assert values[0] == pytest.approx(0.0, abs=1e-6)
        assert values[0] < values[1] < values[2]

    def test_the_frames_it_looks_at_rotate_through_the_clip(self) -> None:
        clean = torch.zeros(1, 3, 4, 64, 64)
        loss = PerceptualLoss(ShiftTolerantLPIPS("alex"), frames=1)
        seen = set()
        for step in range(4):
            restored = (0.1 * torch.randn_like(clean)).requires_grad_(True)
            loss(restored, clean, step).backward()
            assert restored.grad is not None
            touched = restored.grad.abs().amax(dim=(0, 1, 3, 4)).nonzero().flatten().tolist()
            assert len(touched) == 1
            seen.update(touched)
        assert seen == {0, 1, 2, 3}


def test_terms_are_weighted_and_reported_unweighted() -> None:
    losses = WeightedLosses(
        {"reconstruction": 2.0, "temporal": 0.5},
        reconstruction=CharbonnierLoss(1e-6),
        temporal=FrameDifferenceLoss(),
    )
    total, values = losses(video(0.5, 0.7), video(0.5, 0.5), 0)
    torch.testing.assert_close(values["reconstruction"], torch.tensor(0.1))
    torch.testing.assert_close(values["temporal"], torch.tensor(0.2))
    torch.testing.assert_close(total, torch.tensor(0.3))


def test_a_term_without_a_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="same names"):
        WeightedLosses({}, reconstruction=CharbonnierLoss())
