"""What every video autoencoder promises, checked on each."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.models.autoencoders.base import VideoAutoencoder
from dvface.models.autoencoders.haar import HaarAutoencoder
from dvface.models.autoencoders.light import LightAutoencoder
from dvface.models.autoencoders.patch import PatchAutoencoder
from dvface.models.autoencoders.principal import PrincipalAutoencoder
from dvface.models.autoencoders.taehv import TaehvAutoencoder
from dvface.models.autoencoders.wan import WanAutoencoder

MAKERS: dict[str, Callable[[], VideoAutoencoder]] = {
    "patch": PatchAutoencoder,
    "haar": HaarAutoencoder,
    "principal": lambda: PrincipalAutoencoder(channels=24),
    "light": lambda: LightAutoencoder(latent_channels=6, width=4),
    "taehv": lambda: TaehvAutoencoder(latent_channels=4, encoder_channels=4, decoder_channels=[8, 4, 4, 4]),
    "wan": lambda: WanAutoencoder(4, 4, [1, 1, 1, 1], 1, mean=[0.1, 0, 0, -0.2], deviation=[2, 1, 1, 0.5]),
}
LEARNED = ("light", "taehv", "wan")


@pytest.fixture(params=MAKERS, scope="module")
def autoencoder(request: pytest.FixtureRequest) -> VideoAutoencoder:
    torch.manual_seed(0)
    return MAKERS[request.param]().eval()


@given(batch=st.integers(1, 2), groups=st.integers(0, 2), rows=st.integers(1, 3), columns=st.integers(1, 3))
@settings(max_examples=8, deadline=None)
@torch.inference_mode()
def test_shapes(autoencoder: VideoAutoencoder, batch: int, groups: int, rows: int, columns: int) -> None:
    video = torch.rand(batch, 3, 4 * groups + 1, 8 * rows, 8 * columns) * 2 - 1
    latents = autoencoder.encode(video)
    assert latents.shape == (batch, autoencoder.layout.channels, groups + 1, rows, columns)
    assert autoencoder.decode(latents).shape == video.shape


@pytest.mark.parametrize("shape", [(1, 3, 8, 16, 16), (1, 3, 4, 16, 16), (1, 3, 5, 12, 16), (1, 3, 5, 16, 20)])
def test_what_does_not_fit_is_refused(autoencoder: VideoAutoencoder, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="frames"):
        autoencoder.encode(torch.zeros(shape))


@torch.inference_mode()
def test_repeating_the_last_frame_at_the_end_changes_nothing_before(autoencoder: VideoAutoencoder) -> None:
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    padded = torch.cat([video, video[:, :, -1:].expand(-1, -1, 4, -1, -1)], dim=2)
    short, long = autoencoder.encode(video), autoencoder.encode(padded)
    torch.testing.assert_close(long[:, :, :2], short, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_earlier_latents_do_not_see_later_frames(autoencoder: VideoAutoencoder) -> None:
    video = torch.rand(1, 3, 13, 16, 16) * 2 - 1
    # TAEHV's public encoder looks three frames ahead: its latent frame 1 joins frames 4 to 7.
    first = 8 if isinstance(autoencoder, TaehvAutoencoder) else 5
    changed = video.clone()
    changed[:, :, first:] = 0
    before, after = autoencoder.encode(video), autoencoder.encode(changed)
    torch.testing.assert_close(before[:, :, :2], after[:, :, :2], rtol=0, atol=0)
    assert not torch.allclose(before[:, :, 2], after[:, :, 2])


@torch.inference_mode()
def test_earlier_frames_do_not_see_later_latents(autoencoder: VideoAutoencoder) -> None:
    latents = torch.randn(1, autoencoder.latent_channels, 3, 2, 2)
    changed = latents.clone()
    changed[:, :, 2] += 1
    before, after = autoencoder.decode(latents), autoencoder.decode(changed)
    torch.testing.assert_close(before[:, :, :5], after[:, :, :5], rtol=0, atol=0)
    assert not torch.allclose(before[:, :, 5:], after[:, :, 5:])


@torch.inference_mode()
def test_clips_of_a_batch_do_not_mix(autoencoder: VideoAutoencoder) -> None:
    video = torch.rand(3, 3, 5, 16, 16) * 2 - 1
    order = [2, 0, 1]
    latents = autoencoder.encode(video)
    torch.testing.assert_close(autoencoder.encode(video[order]), latents[order], rtol=1e-4, atol=1e-5)
    frames = autoencoder.decode(latents)
    torch.testing.assert_close(autoencoder.decode(latents[order]), frames[order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MAKERS)
def test_it_runs_without_memory_for_its_numbers(name: str) -> None:
    with torch.device("meta"):
        autoencoder = MAKERS[name]().eval()
        video = torch.zeros(1, 3, 9, 32, 16)
        latents = autoencoder.encode(video)
        decoded = autoencoder.decode(latents)
    assert latents.device.type == decoded.device.type == "meta"
    assert latents.shape == (1, autoencoder.latent_channels, 3, 4, 2)
    assert decoded.shape == video.shape


@torch.inference_mode()
def test_it_runs_in_bfloat16(autoencoder: VideoAutoencoder) -> None:
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    exact = autoencoder.decode(autoencoder.encode(video))
    with torch.autocast("cpu", torch.bfloat16):
        rough = autoencoder.decode(autoencoder.encode(video))
    torch.testing.assert_close(rough.float(), exact, rtol=0, atol=0.1)


@pytest.mark.parametrize("name", MAKERS)
@torch.inference_mode()
def test_its_state_is_all_of_it(name: str) -> None:
    one = MAKERS[name]().eval()
    for buffer in one.state_dict().values():
        buffer.add_(torch.randn_like(buffer) * 0.01)
    other = MAKERS[name]().eval()
    other.load_state_dict(one.state_dict())
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    latents = one.encode(video)
    assert torch.equal(other.encode(video), latents)
    assert torch.equal(other.decode(latents), one.decode(latents))


@pytest.mark.parametrize("name", LEARNED)
def test_only_the_decoder_learns_when_asked(name: str) -> None:
    autoencoder = MAKERS[name]()
    autoencoder.unfreeze_decoder()
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    latents = autoencoder.encode(video)
    assert not latents.requires_grad
    autoencoder.decode(latents).square().mean().backward()
    touched = {key for key, parameter in autoencoder.named_parameters() if parameter.grad is not None}
    assert touched == {key for key, _ in autoencoder.named_parameters() if "decoder" in key or "post_quant" in key}


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in LEARNED])
def test_without_a_learned_decoder_that_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="train_decoder=false"):
        MAKERS[name]().unfreeze_decoder()


def test_gradients_reach_latents_and_pixels(autoencoder: VideoAutoencoder) -> None:
    video = (torch.rand(1, 3, 5, 16, 16) * 2 - 1).requires_grad_()
    latents = autoencoder.encode(video)
    latents.retain_grad()
    autoencoder.decode(latents).square().mean().backward()
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0
    assert video.grad is not None
    assert (video.grad.abs().sum(dim=(0, 1, 3, 4)) > 0).all()
