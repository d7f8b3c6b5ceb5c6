import pytest
import torch
from tests.losses.clips import footage

from dvface.losses.perceptual import PerceptualLoss
from dvface.perception.perceptual import ShiftTolerantLPIPS


@pytest.fixture(scope="module")
def network():
    return ShiftTolerantLPIPS("alex")


def test_it_is_zero_for_equal_clips_and_grows_with_noise(network, carphone) -> None:
    clean = footage(carphone, clips=1, frames=4)
    loss = PerceptualLoss(network, frames=2)
    noise = torch.randn_like(clean)
    values = [loss(clean + scale * noise, clean, 0).item() for scale in (0.0, 0.05, 0.2)]
    assert values[0] == pytest.approx(0.0, abs=1e-6)
    assert values[0] < values[1] < values[2]


def test_the_frames_it_looks_at_rotate_through_the_clip(network) -> None:
    clean = torch.zeros(1, 3, 4, 64, 64)
    loss = PerceptualLoss(network, frames=1)
    seen = set()
    for step in range(4):
        restored = (0.1 * torch.randn_like(clean)).requires_grad_(True)
        loss(restored, clean, step).backward()
        assert restored.grad is not None
        touched = restored.grad.abs().amax(dim=(0, 1, 3, 4)).nonzero().flatten().tolist()
        assert len(touched) == 1
        seen.update(touched)
    assert seen == {0, 1, 2, 3}


def test_more_frames_than_the_clip_has_are_all_of_it(network, carphone) -> None:
    clean = footage(carphone, clips=2, frames=1)
    restored = clean + 0.1 * torch.randn_like(clean)
    few, many = (PerceptualLoss(network, frames=count)(restored, clean, 3) for count in (1, 7))
    assert torch.equal(few, many)


def test_looking_at_no_frame_is_refused(network) -> None:
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        PerceptualLoss(network, frames=0)
