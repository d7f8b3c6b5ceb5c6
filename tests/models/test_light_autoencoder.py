import pytest
import torch

from dvface.models.autoencoders.light import LightAutoencoder


@torch.inference_mode()
def test_latents_have_unit_scale_whatever_the_weights() -> None:
    autoencoder = LightAutoencoder(latent_channels=8, width=8)
    video = torch.rand(2, 3, 9, 32, 32) * 2 - 1
    for scale in (1.0, 10.0):
        for parameter in autoencoder.encoder.parameters():
            parameter.mul_(scale)
        latents = autoencoder.encode(video)
        torch.testing.assert_close(latents.square().mean(dim=1), torch.ones(2, 3, 4, 4), rtol=1e-2, atol=0)


@torch.inference_mode()
def test_memory_reaches_across_groups() -> None:
    autoencoder = LightAutoencoder(latent_channels=8, width=8)
    video = torch.rand(1, 3, 9, 16, 16)
    changed = video.clone()
    changed[:, :, 4] = 0
    assert not torch.equal(autoencoder.encode(video)[:, :, 2], autoencoder.encode(changed)[:, :, 2])


def test_it_learns_to_give_back_a_clip() -> None:
    autoencoder = LightAutoencoder(latent_channels=24, width=16)
    ramp = torch.linspace(-0.9, 0.9, 32)
    clip = torch.stack([ramp.roll(frame).expand(32, 32) * sign for frame in range(5) for sign in (1, -1, 0.5)])
    video = clip.view(5, 3, 32, 32).transpose(0, 1)[None].contiguous()
    optimizer = torch.optim.AdamW(autoencoder.parameters(), lr=3e-3)
    errors = []
    for _ in range(80):
        error = (autoencoder.decode(autoencoder.encode(video)) - video).square().mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    assert errors[-1] < 0.1 * errors[0]


@pytest.mark.parametrize("argument", ["latent_channels", "width"])
def test_nothing_to_compute_with_is_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=argument):
        LightAutoencoder(**{"latent_channels": 4, "width": 4, argument: 0})
