import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dvface.models.autoencoders.blocks import haar_blocks, haar_matrix
from dvface.models.autoencoders.haar import HaarAutoencoder
from dvface.models.autoencoders.principal import PrincipalAutoencoder


def as_video(carphone: np.ndarray, start: int = 0) -> torch.Tensor:
    """(1, 3, 9, 128, 128) in [-1, 1]."""
    frames = torch.from_numpy(carphone[start : start + 9, 8:136, 20:148].copy())
    return frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1


def test_four_haar_wavelets_by_hand() -> None:
    root = math.sqrt(0.5)
    expected = [[0.5, 0.5, 0.5, 0.5], [0.5, 0.5, -0.5, -0.5], [root, -root, 0, 0], [0, 0, root, -root]]
    torch.testing.assert_close(haar_matrix(2), torch.tensor(expected, dtype=torch.float64))


@given(temporal_levels=st.integers(0, 2), spatial_levels=st.integers(0, 3))
@settings(max_examples=12, deadline=None)
def test_wavelets_of_blocks_are_orthonormal_and_start_with_the_mean(temporal_levels: int, spatial_levels: int) -> None:
    basis = haar_blocks(temporal_levels, spatial_levels)
    size = 2**temporal_levels * 4**spatial_levels
    torch.testing.assert_close(basis @ basis.T, torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(basis[0], torch.full((size,), size**-0.5, dtype=torch.float64))


@given(groups=st.integers(0, 2), spatial_levels=st.integers(0, 3), temporal_levels=st.integers(0, 2))
@settings(max_examples=15, deadline=None)
def test_wavelets_give_back_every_pixel(groups: int, spatial_levels: int, temporal_levels: int) -> None:
    autoencoder = HaarAutoencoder(spatial_levels, temporal_levels)
    video = torch.rand(2, 3, 2**temporal_levels * groups + 1, 16, 24) * 2 - 1
    decoded = autoencoder.decode(autoencoder.encode(video))
    torch.testing.assert_close(decoded, video, rtol=0, atol=2e-6)


def test_later_groups_keep_their_energy() -> None:
    video = torch.randn(1, 3, 9, 16, 16)
    latents = HaarAutoencoder().encode(video)
    torch.testing.assert_close(latents[:, :, 1:].square().sum(), video[:, :, 1:].square().sum())


def test_a_flat_colour_is_three_numbers() -> None:
    video = torch.tensor([0.5, -1, 0.25]).view(1, 3, 1, 1, 1).expand(1, 3, 5, 8, 8)
    latents = HaarAutoencoder().encode(video)[0, :, 1, 0, 0]
    torch.testing.assert_close(latents[:3], torch.tensor([8.0, -16, 4]))
    torch.testing.assert_close(latents[3:], torch.zeros(765), rtol=0, atol=1e-5)


def test_the_first_channels_hold_the_coarse_picture(carphone: np.ndarray) -> None:
    video = as_video(carphone)
    autoencoder = HaarAutoencoder()
    latents = autoencoder.encode(video)
    errors = []
    for kept in (3, 24, 96, 384, 768):
        coarse = latents.clone()
        coarse[:, kept:] = 0
        errors.append((autoencoder.decode(coarse) - video).square().mean().item())
    assert errors == sorted(errors, reverse=True)
    assert errors[2] < 0.01
    last = latents.clone()
    last[:, :-96] = 0
    assert (autoencoder.decode(last) - video).square().mean() > 20 * errors[2]


@pytest.mark.parametrize("argument", ["spatial_levels", "temporal_levels"])
def test_negative_levels_are_refused(argument: str) -> None:
    with pytest.raises(ValueError, match=argument):
        HaarAutoencoder(**{argument: -1})


def fitted(channels: int, *videos: torch.Tensor) -> PrincipalAutoencoder:
    autoencoder = PrincipalAutoencoder(channels)
    blocks = torch.cat([autoencoder.blocks(video).flatten(0, 3) for video in videos]).double()
    autoencoder.fit(blocks.mean(dim=0), torch.cov(blocks.T, correction=0))
    return autoencoder


def test_all_components_give_back_every_pixel(carphone: np.ndarray) -> None:
    video = as_video(carphone)
    whole = PrincipalAutoencoder(768)
    torch.testing.assert_close(whole.decode(whole.encode(video)), video, rtol=0, atol=1e-5)


def test_before_it_is_fitted_it_keeps_the_coarse_wavelets(carphone: np.ndarray) -> None:
    video = as_video(carphone)
    latents = PrincipalAutoencoder(50).encode(video)
    torch.testing.assert_close(latents, HaarAutoencoder().encode(video)[:, :50], rtol=0, atol=1e-4)


def test_a_subspace_is_given_back_exactly() -> None:
    still, moving = 4, 5
    patterns = torch.randn(still + moving, 3, 4, 8, 8)
    patterns[:still] = patterns[:still, :, :1]  # first frames stand still
    weights = torch.randn(2, 3, 6, 6, still + moving)
    weights[:, 0, ..., still:] = 0
    offset = torch.randn(3, 1, 8, 8).expand(3, 4, 8, 8)
    blocks = torch.einsum("bthwk,kcpqr->bcthwpqr", weights, patterns) + offset[:, None, None, None]
    video = blocks.permute(0, 1, 2, 5, 3, 6, 4, 7).reshape(2, 3, 12, 48, 48)[:, :, 3:]

    autoencoder = fitted(still + moving, video)
    latents = autoencoder.encode(video)
    torch.testing.assert_close(autoencoder.decode(latents), video, rtol=0, atol=1e-4)
    torch.testing.assert_close(latents.mean(dim=(0, 2, 3, 4)), torch.zeros(9), rtol=0, atol=1e-4)
    torch.testing.assert_close(latents.square().mean(dim=(0, 2, 3, 4)), torch.ones(9), rtol=1e-3, atol=0)
    less = fitted(still + moving - 1, video)
    assert (less.decode(less.encode(video)) - video).abs().max() > 0.01


def test_its_error_is_the_sum_of_the_variances_left_out(carphone: np.ndarray) -> None:
    video = as_video(carphone)
    autoencoder = fitted(20, video)
    blocks = autoencoder.blocks(video).flatten(0, 3).double()
    left_out = torch.linalg.svdvals(blocks - blocks.mean(dim=0))[20:].square().sum()
    back = autoencoder.encode(video).movedim(1, -1) * autoencoder.deviation @ autoencoder.basis + autoencoder.mean
    torch.testing.assert_close((back.flatten(0, 3).double() - blocks).square().sum(), left_out, rtol=1e-3, atol=0)


def test_fitted_components_beat_wavelets_on_clips_they_never_saw(carphone: np.ndarray) -> None:
    autoencoder = fitted(96, *(as_video(carphone, start) for start in (0, 9, 18, 27)))
    video = as_video(carphone, 100)
    wavelets = PrincipalAutoencoder(96)
    errors = [(one.decode(one.encode(video)) - video).square().mean() for one in (autoencoder, wavelets)]
    assert errors[0] < 0.8 * errors[1]


def test_the_sign_of_a_component_is_settled() -> None:
    variances = torch.arange(768, 0, -1, dtype=torch.float64)
    autoencoder = PrincipalAutoencoder(3)
    autoencoder.fit(torch.zeros(768, dtype=torch.float64), torch.diag(variances))
    torch.testing.assert_close(autoencoder.basis, torch.eye(3, 768))
    torch.testing.assert_close(autoencoder.deviation, variances[:3].sqrt().float())


def test_what_never_varies_does_not_blow_up() -> None:
    video = torch.full((1, 3, 5, 16, 16), 0.3)
    autoencoder = fitted(8, video)
    latents = autoencoder.encode(video)
    assert latents.abs().max() < 0.1
    torch.testing.assert_close(autoencoder.decode(latents), video)


@pytest.mark.parametrize("channels", [0, 769])
def test_channels_out_of_range_are_refused(channels: int) -> None:
    with pytest.raises(ValueError, match=f"channels must be 1 to 768.*{channels}"):
        PrincipalAutoencoder(channels)
