import pytest
import torch
from tests.losses.clips import footage

from dvface.losses.identity import IdentityLoss
from dvface.perception.arcface import IRSE50, ArcFace


@pytest.fixture(scope="module")
def arcface(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("arcface") / "random.pth"
    torch.save(IRSE50().state_dict(), path)
    return ArcFace(path)


def test_it_is_zero_for_equal_clips_and_not_for_noisy_ones(arcface, carphone) -> None:
    clean = footage(carphone, clips=1, frames=2)
    loss = IdentityLoss(arcface, frames=1)
    noise = torch.randn_like(clean)
    values = [loss(clean + scale * noise, clean, 0).item() for scale in (0.0, 0.5)]
    assert values[0] == pytest.approx(0.0, abs=1e-5)
    assert 0.01 < values[1] <= 2


def test_it_is_one_minus_the_cosine_averaged_over_frames(arcface, carphone) -> None:
    restored, clean = footage(carphone, clips=2, frames=2).unbind(0)
    identities = [arcface.embed(clip.transpose(0, 1)) for clip in (restored, clean)]
    expected = 1 - torch.nn.functional.cosine_similarity(*identities).mean()
    torch.testing.assert_close(IdentityLoss(arcface, frames=2)(restored[None], clean[None], 0), expected)


def test_looking_at_no_frame_is_refused(arcface) -> None:
    with pytest.raises(ValueError, match="frames must be at least 1, got 0"):
        IdentityLoss(arcface, frames=0)
