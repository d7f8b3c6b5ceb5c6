"""diffusers' own encode and decode are the reference."""

import pytest
import torch

from dvface.models.autoencoders.wan import WanAutoencoder

MEAN, DEVIATION = [0.1, -0.3, 0.0, 2.0], [2.0, 0.5, 1.0, 3.0]


@pytest.fixture
def autoencoder() -> WanAutoencoder:
    return WanAutoencoder(8, 4, [1, 2, 2, 2], 1, mean=MEAN, deviation=DEVIATION).eval()


def per_channel(values: list[float]) -> torch.Tensor:
    return torch.tensor(values).view(1, -1, 1, 1, 1)


@pytest.mark.parametrize("frames", [1, 5, 13])
@torch.inference_mode()
def test_latents_are_the_normalised_mode(autoencoder: WanAutoencoder, frames: int) -> None:
    video = torch.rand(2, 3, frames, 16, 24) * 2 - 1
    mode = autoencoder.network.encode(video).latent_dist.mode()
    assert torch.equal(autoencoder.encode(video), (mode - per_channel(MEAN)) / per_channel(DEVIATION))


@pytest.mark.parametrize("frames", [1, 2, 4])
@torch.inference_mode()
def test_frames_are_those_of_diffusers_before_it_clamps(autoencoder: WanAutoencoder, frames: int) -> None:
    latents = torch.randn(2, 4, frames, 2, 3)
    theirs = autoencoder.network.decode(latents * per_channel(DEVIATION) + per_channel(MEAN)).sample
    assert torch.equal(autoencoder.decode(latents).clamp(-1, 1), theirs)
    with torch.no_grad():
        autoencoder.network.decoder.conv_out.bias += 3
    assert (autoencoder.decode(latents) > 1).any()


@torch.inference_mode()
def test_an_exception_leaves_no_frames_behind(autoencoder: WanAutoencoder) -> None:
    video, latents = torch.rand(1, 3, 9, 16, 16), torch.randn(1, 4, 3, 2, 2)
    expected = autoencoder.encode(video), autoencoder.decode(latents)

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    works = {"encoder": lambda: autoencoder.encode(video), "decoder": lambda: autoencoder.decode(latents)}
    for part, work in works.items():
        handle = getattr(autoencoder.network, part).conv_out.register_forward_hook(interrupt)
        with pytest.raises(KeyboardInterrupt):
            work()
        handle.remove()
    assert torch.equal(autoencoder.encode(video), expected[0])
    assert torch.equal(autoencoder.decode(latents), expected[1])


def test_wan_itself_has_the_published_size() -> None:
    with torch.device("meta"):
        autoencoder = WanAutoencoder(96, 16, [1, 2, 4, 4], 2)
    parameters = sum(parameter.numel() for parameter in autoencoder.parameters())
    assert parameters == 126_892_531
    assert autoencoder.network.config.latents_mean[0] == -0.7571


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"multipliers": [1, 1, 1]}, "multipliers must be four"),
        ({"mean": [0.0]}, "mean must have 4 numbers"),
        ({"deviation": [1.0] * 5}, "deviation must have 4 numbers"),
        ({"deviation": [1.0, 1.0, 0.0, 1.0]}, "deviation must be above 0"),
        ({"mean": None}, "mean must have 4 numbers"),
    ],
)
def test_what_does_not_fit_is_refused(changes: dict, words: str) -> None:
    arguments = {"multipliers": [1, 1, 1, 1], "mean": MEAN, "deviation": DEVIATION}
    with pytest.raises(ValueError, match=words):
        WanAutoencoder(base_dim=4, latent_channels=4, blocks=1, **{**arguments, **changes})
