"""TAEHV, a tiny autoencoder for Wan2.1's latents, in the layout of its public weights."""

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from dvface.errors import UserError
from dvface.models.autoencoders.base import VideoAutoencoder
from dvface.models.autoencoders.frames import FrameNetwork, JoinFrames, MemoryBlock, SplitFrames, convolution
from dvface.weights import read_tensors


class SoftClamp(nn.Module):
    """3·tanh(x/3): latents beyond three deviations are drawn in."""

    def forward(self, latents: Tensor) -> Tensor:
        """Any shape to the same."""
        return 3 * torch.tanh(latents / 3)


class TaehvAutoencoder(VideoAutoencoder):
    """github.com/madebyollin/taehv (MIT): far cheaper than Wan's VAE and speaking almost its latents.

    Its latents are Wan's after normalisation (the project's README: no scale and shift of its own), so they take
    the place of `WanAutoencoder`'s. Pixels are [0, 1] inside and [-1, 1] outside, as everywhere here.

    The encoder is not strictly causal: its public weights join frames 4j to 4j+3 into latent frame j, where Wan
    joins 4j-3 to 4j, and the public code fills the last group by repeating the last frame. So a latent frame sees
    up to three frames ahead; a clip whose end is padded by its own last frame keeps its latents. The decoder is
    causal; the first three frames that it makes lie before the clip and are dropped.

    Args:
        latent_channels: channels of the latents; 16 in ``taew2_1``.
        encoder_channels: of all encoder features; 64 in ``taew2_1``.
        decoder_channels: of the decoder at strides 8, 4, 2 and 1; 256, 128, 64, 64 in ``taew2_1``.

    Raises:
        ValueError: ``decoder_channels`` are not four.
    """

    spatial_stride = 8
    temporal_stride = 4

    def __init__(self, latent_channels: int, encoder_channels: int, decoder_channels: Sequence[int]) -> None:
        super().__init__()
        if len(decoder_channels) != 4:
            raise ValueError(f"decoder_channels must be four numbers, got {list(decoder_channels)}")
        self.latent_channels = latent_channels
        self.encoder = FrameNetwork(
            convolution(3, encoder_channels),
            nn.ReLU(),
            *(layer for joined in (2, 2, 1) for layer in _halve(encoder_channels, joined)),
            convolution(encoder_channels, latent_channels),
        )
        self.decoder = FrameNetwork(
            SoftClamp(),
            convolution(latent_channels, decoder_channels[0]),
            nn.ReLU(),
            *(
                layer
                for level, made in enumerate((1, 2, 2))
                for layer in _double(decoder_channels[level], decoder_channels[level + 1], made)
            ),
            nn.ReLU(),
            convolution(decoder_channels[3], 3),
        )

    def load_weights(self, path: str | Path) -> None:
        """Take a public file of this layout, such as ``taew2_1.pth`` or ``taew2_1.safetensors``.

        Raises:
            UserError: the file is missing, unreadable or made for another network; nothing is changed then.
        """
        state = read_tensors(path)
        own = self.state_dict()
        wrong = sorted(set(own) ^ set(state)) or [name for name in own if own[name].shape != state[name].shape]
        if wrong:
            raise UserError(
                f"weights file {path} does not fit {type(self).__name__} (first at {wrong[0]}); "
                "fetch taew2_1 of madebyollin/taehv or make the channels equal"
            )
        self.load_state_dict(state)

    def encode(self, video: Tensor) -> Tensor:
        """See the base class; latent frame j sees frames up to 4j+3."""
        self.check_fits(video)
        end = video[:, :, -1:].expand(-1, -1, self.temporal_stride - 1, -1, -1)
        return self.encoder((torch.cat([video, end], dim=2) + 1) / 2)

    def decode(self, latents: Tensor) -> Tensor:
        """See the base class."""
        return self.decoder(latents)[:, :, self.temporal_stride - 1 :] * 2 - 1

    def unfreeze_decoder(self) -> None:
        """See the base class."""
        self.requires_grad_(False)
        self.decoder.requires_grad_(True)


def _halve(channels: int, joined: int) -> list[nn.Module]:
    """Half the height and width, a ``joined``-th of the frames."""
    blocks = [MemoryBlock(channels) for _ in range(3)]
    return [JoinFrames(channels, joined), convolution(channels, channels, stride=2, bias=False), *blocks]


def _double(inputs: int, outputs: int, made: int) -> list[nn.Module]:
    """Twice the height and width, ``made`` times the frames."""
    blocks = [MemoryBlock(inputs) for _ in range(3)]
    return [*blocks, nn.Upsample(scale_factor=2), SplitFrames(inputs, made), convolution(inputs, outputs, bias=False)]
