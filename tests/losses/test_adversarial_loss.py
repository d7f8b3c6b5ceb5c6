import pytest
import torch
from tests.losses.clips import RedJudge, grey

from dvface.losses.adversarial import AdversarialLoss
from dvface.losses.discriminator import Discriminator, TimmDiscriminator


def small() -> TimmDiscriminator:
    return TimmDiscriminator("convnext_atto", depths=[0, 1], resolution=None, frozen=False)


@pytest.mark.parametrize(
    ("restored", "clean", "generator", "discriminator"),
    [
        (0.5, 0.25, -0.5, 0.75 + 1.5),
        (-0.5, 0.5, 0.5, 0.5 + 0.5),
        (-3.0, 2.0, 3.0, 0.0),  # told apart by more than the hinge asks
        (2.0, -1.0, -2.0, 2.0 + 3.0),
    ],
)
def test_hinge_values_by_hand(restored: float, clean: float, generator: float, discriminator: float) -> None:
    loss = AdversarialLoss(RedJudge(1.0), frames=2)
    videos = grey(restored, restored), grey(clean, clean)
    parts = {name: value.item() for name, value in loss.parts(*videos, 0).items()}
    assert parts == pytest.approx({"generator": generator, "discriminator": discriminator})
    assert loss(*videos, 0).item() == pytest.approx(generator + discriminator)


def test_heads_count_alike_however_many_places_they_score() -> None:
    class TwoHeads(Discriminator):
        def forward(self, frames):
            return [frames[:, :1], 3 * frames[:, :1, :2, :2]]

    parts = AdversarialLoss(TwoHeads(), frames=1).parts(grey(0.25), grey(0.25), 0)
    assert parts["generator"].item() == pytest.approx(-(0.25 + 0.75) / 2)


def test_the_generators_gradient_reaches_the_restored_clip_alone() -> None:
    discriminator = small()
    restored = torch.randn(2, 3, 2, 32, 32, requires_grad=True)
    AdversarialLoss(discriminator, frames=1).parts(restored, torch.randn(2, 3, 2, 32, 32), 0)["generator"].backward()
    assert restored.grad[:, :, 0].abs().max() > 0
    assert restored.grad[:, :, 1].abs().max() == 0  # frames=1: not looked at
    assert all(parameter.grad is None for parameter in discriminator.parameters())


def test_the_discriminators_gradient_reaches_its_parameters_alone() -> None:
    discriminator = small()
    restored = torch.randn(2, 3, 2, 32, 32, requires_grad=True)
    parts = AdversarialLoss(discriminator, frames=1).parts(restored, torch.randn(2, 3, 2, 32, 32), 0)
    parts["discriminator"].backward()
    assert restored.grad is None
    assert all(parameter.grad is not None for parameter in discriminator.parameters())
    assert all(head.weight.grad.abs().max() > 0 for head in discriminator.heads)


def test_one_backward_pass_gives_each_player_the_gradient_of_its_own_part() -> None:
    loss = AdversarialLoss(RedJudge(2.0, 0.1), frames=1)
    restored = grey(0.2, size=4).clone().requires_grad_(True)
    loss(restored, grey(0.3, size=4), 0).backward()
    # d(-D)/d red = -2 over 16 pixels; d/d scale of (1 - D(.3)) + (1 + D(.2)) = .2 - .3
    assert restored.grad[0, 0].unique().tolist() == pytest.approx([-2 / 16])
    assert restored.grad[0, 1:].abs().max() == 0
    assert loss.discriminator.scale.grad.item() == pytest.approx(-0.1)
    assert loss.discriminator.offset.grad.item() == pytest.approx(0.0, abs=1e-7)


def test_it_learns_to_tell_bright_frames_from_dark_ones() -> None:
    loss = AdversarialLoss(small(), frames=1)
    optimizer = torch.optim.AdamW(loss.parameters(), lr=3e-3)
    clean = 0.5 + 0.1 * torch.randn(4, 3, 1, 32, 32)
    restored = -0.5 + 0.1 * torch.randn(4, 3, 1, 32, 32)
    before = loss.parts(restored, clean, 0)["discriminator"].item()
    for step in range(12):
        optimizer.zero_grad()
        loss(restored, clean, step).backward()
        optimizer.step()
    after = loss.parts(restored, clean, 0)["discriminator"].item()
    assert before == pytest.approx(2, abs=1)
    assert after < 0.5 * before
    scores = loss.discriminator(torch.cat((clean[:, :, 0], restored[:, :, 0])))
    assert all(score[:4].mean() > score[4:].mean() for score in scores)


def test_its_discriminator_is_saved_with_it() -> None:
    loss, again = AdversarialLoss(small(), frames=1), AdversarialLoss(small(), frames=1)
    again.load_state_dict(loss.state_dict())
    videos = torch.randn(1, 3, 1, 32, 32), torch.randn(1, 3, 1, 32, 32)
    assert torch.equal(loss(*videos, 0), again(*videos, 0))
