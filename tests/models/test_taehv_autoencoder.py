from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional

from dvface.errors import UserError
from dvface.models.autoencoders.taehv import TaehvAutoencoder

PUBLIC = {"latent_channels": 16, "encoder_channels": 64, "decoder_channels": [256, 128, 64, 64]}
SMALL = {"latent_channels": 4, "encoder_channels": 6, "decoder_channels": [8, 6, 4, 4]}


def public_shapes() -> dict[str, tuple[int, ...]]:
    """Names and shapes of taew2_1.pth, written down from the layout that its README and code describe."""

    def memory(name: str, channels: int) -> dict[str, tuple[int, ...]]:
        shapes: dict[str, tuple[int, ...]] = {}
        for layer, inputs in ((0, 2 * channels), (2, channels), (4, channels)):
            shapes[f"{name}.conv.{layer}.weight"] = (channels, inputs, 3, 3)
            shapes[f"{name}.conv.{layer}.bias"] = (channels,)
        return shapes

    shapes: dict[str, tuple[int, ...]] = {
        "encoder.0.weight": (64, 3, 3, 3),
        "encoder.0.bias": (64,),
        "encoder.2.conv.weight": (64, 128, 1, 1),
        "encoder.3.weight": (64, 64, 3, 3),
        "encoder.7.conv.weight": (64, 128, 1, 1),
        "encoder.8.weight": (64, 64, 3, 3),
        "encoder.12.conv.weight": (64, 64, 1, 1),
        "encoder.13.weight": (64, 64, 3, 3),
        "encoder.17.weight": (16, 64, 3, 3),
        "encoder.17.bias": (16,),
        "decoder.1.weight": (256, 16, 3, 3),
        "decoder.1.bias": (256,),
        "decoder.7.conv.weight": (256, 256, 1, 1),
        "decoder.8.weight": (128, 256, 3, 3),
        "decoder.13.conv.weight": (256, 128, 1, 1),
        "decoder.14.weight": (64, 128, 3, 3),
        "decoder.19.conv.weight": (128, 64, 1, 1),
        "decoder.20.weight": (64, 64, 3, 3),
        "decoder.22.weight": (3, 64, 3, 3),
        "decoder.22.bias": (3,),
    }
    for number in (4, 5, 6, 9, 10, 11, 14, 15, 16):
        shapes |= memory(f"encoder.{number}", 64)
    for number, channels in (
        (3, 256),
        (4, 256),
        (5, 256),
        (9, 128),
        (10, 128),
        (11, 128),
        (15, 64),
        (16, 64),
        (17, 64),
    ):
        shapes |= memory(f"decoder.{number}", channels)
    return shapes


def test_names_and_shapes_are_those_of_the_public_file() -> None:
    with torch.device("meta"):
        state = TaehvAutoencoder(**PUBLIC).state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == public_shapes()


@torch.inference_mode()
def test_frame_by_frame_gives_the_same_video() -> None:
    """The reference keeps its memory in a dictionary and decodes one latent frame after another."""
    autoencoder = TaehvAutoencoder(**SMALL)
    latents = torch.randn(1, 4, 3, 2, 3)
    state = autoencoder.state_dict(prefix="")
    memory: dict[int, torch.Tensor] = {}

    def layer(number: int, frame: torch.Tensor) -> list[torch.Tensor]:
        """The frames that one frame becomes after layer ``number`` and all that follow."""
        if number == 23:
            return [frame]
        name = f"decoder.{number}"
        if number == 0:
            frame = torch.tanh(frame / 3) * 3
        elif number in (2, 21):
            frame = frame.clamp(min=0)
        elif number in (6, 12, 18):
            frame = frame.repeat_interleave(2, dim=-1).repeat_interleave(2, dim=-2)
        elif number in (7, 13, 19):
            made = 1 if number == 7 else 2
            parts = functional.conv2d(frame, state[f"{name}.conv.weight"]).chunk(made, dim=1)
            return [late for part in parts for late in layer(number + 1, part)]
        elif f"{name}.conv.0.weight" in state:
            past = memory.get(number, torch.zeros_like(frame))
            memory[number] = frame
            inner = torch.cat([frame, past], dim=1)
            for part in (0, 2, 4):
                inner = functional.conv2d(
                    inner.clamp(min=0) if part else inner,
                    state[f"{name}.conv.{part}.weight"],
                    state[f"{name}.conv.{part}.bias"],
                    padding=1,
                )
            frame = (inner + frame).clamp(min=0)
        else:
            frame = functional.conv2d(frame, state[f"{name}.weight"], state.get(f"{name}.bias"), padding=1)
        return layer(number + 1, frame)

    frames = [made for number in range(3) for made in layer(0, latents[:, :, number])]
    expected = torch.stack(frames[3:], dim=2) * 2 - 1
    torch.testing.assert_close(autoencoder.decode(latents), expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_the_encoder_joins_four_frames_and_repeats_the_last() -> None:
    autoencoder = TaehvAutoencoder(**SMALL)
    video = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    changed = video.clone()
    changed[:, :, 3] = 0
    before, after = autoencoder.encode(video), autoencoder.encode(changed)
    assert not torch.allclose(before[:, :, 0], after[:, :, 0])
    longer = torch.cat([video, video[:, :, -1:].expand(-1, -1, 3, -1, -1)], dim=2)
    torch.testing.assert_close(autoencoder.encoder((longer + 1) / 2), before)


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@torch.inference_mode()
def test_weights_come_from_a_file(tmp_path: Path, suffix: str) -> None:
    one, other = TaehvAutoencoder(**SMALL), TaehvAutoencoder(**SMALL)
    state = {name: value.half() for name, value in one.state_dict().items()}
    path = tmp_path / f"tiny{suffix}"
    if suffix == ".pth":
        torch.save(state, path)
    else:
        save_file(state, path)
    other.load_weights(path)
    for name, value in other.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, state[name].float())


def test_weights_that_do_not_fit_change_nothing(tmp_path: Path) -> None:
    autoencoder = TaehvAutoencoder(**SMALL)
    before = {name: value.clone() for name, value in autoencoder.state_dict().items()}
    for name, state in {
        "wide": TaehvAutoencoder(**{**SMALL, "encoder_channels": 8}).state_dict(),
        "part": {name: value for name, value in before.items() if name.startswith("encoder")},
        "more": {**before, "extra": torch.zeros(1)},
    }.items():
        torch.save(state, tmp_path / f"{name}.pth")
        with pytest.raises(UserError, match=rf"{name}\.pth does not fit TaehvAutoencoder"):
            autoencoder.load_weights(tmp_path / f"{name}.pth")
    (tmp_path / "broken.pth").write_bytes(b"no weights")
    torch.save([torch.zeros(1)], tmp_path / "list.pth")
    for name, words in {"absent": "does not exist", "broken": "cannot be read", "list": "named tensors"}.items():
        with pytest.raises(UserError, match=words):
            autoencoder.load_weights(tmp_path / f"{name}.pth")
    assert all(torch.equal(value, before[name]) for name, value in autoencoder.state_dict().items())


def test_decoder_channels_are_four() -> None:
    with pytest.raises(ValueError, match="decoder_channels must be four"):
        TaehvAutoencoder(**{**SMALL, "decoder_channels": [8, 8]})
