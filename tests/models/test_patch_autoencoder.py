import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.models.autoencoders.patch import PatchAutoencoder


@given(groups=st.integers(0, 3), rows=st.integers(1, 4), columns=st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_decoding_gives_back_every_pixel(groups: int, rows: int, columns: int) -> None:
    video = torch.rand(2, 3, 4 * groups + 1, 8 * rows, 8 * columns) * 2 - 1
    latents = PatchAutoencoder().encode(video)
    assert latents.shape == (2, 768, groups + 1, rows, columns)
    assert torch.equal(PatchAutoencoder().decode(latents), video)


def test_later_groups_keep_their_energy() -> None:
    video = torch.randn(1, 3, 9, 16, 16)
    latents = PatchAutoencoder().encode(video)
    torch.testing.assert_close(latents[:, :, 1:].square().sum(), video[:, :, 1:].square().sum())


def test_the_past_does_not_see_the_future() -> None:
    video = torch.rand(1, 3, 9, 16, 16)
    changed = video.clone()
    changed[:, :, 5:] = 0
    before, after = PatchAutoencoder().encode(video), PatchAutoencoder().encode(changed)
    assert torch.equal(before[:, :, :2], after[:, :, :2])
    assert not torch.equal(before[:, :, 2], after[:, :, 2])


@pytest.mark.parametrize("shape", [(1, 3, 8, 16, 16), (1, 3, 5, 12, 16), (1, 3, 5, 16, 20)])
def test_what_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="frames"):
        PatchAutoencoder().encode(torch.zeros(shape))
