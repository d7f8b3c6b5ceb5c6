"""A refinement that sees far and over time: a small U-Net on decoded and degraded frames."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from einops import rearrange
from torch import Tensor, nn

from dvface.models.refinement import Refinement
from dvface.models.zero import zero


class ShiftedBlock(nn.Module):
    """Convolution, SiLU, convolution, added to the input; an eighth of the channels each come from the frames beside.

    The exchange of channels between neighbouring frames is the temporal shift module's (TSM, arXiv 1811.08383): time
    is mixed at no cost. At a clip's ends a frame keeps its own channels. There is no normalisation, whose statistics
    would depend on how large a picture is; the zero last layer makes the block the identity at first.

    Args:
        channels: a multiple of 8.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.moved = channels // 8
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.SiLU()
        self.second = zero(nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, frames: Tensor, clips: int) -> Tensor:
        """(clips·T, channels, H, W) to the same shape."""
        return frames + self.second(self.activation(self.first(self._shifted(frames, clips))))

    def _shifted(self, frames: Tensor, clips: int) -> Tensor:
        video = frames.unflatten(0, (clips, -1))
        before, after, own = video.split([self.moved, self.moved, video.shape[2] - 2 * self.moved], dim=2)
        before = torch.cat([before[:, :1], before[:, :-1]], dim=1)
        after = torch.cat([after[:, 1:], after[:, -1:]], dim=1)
        return torch.cat([before, after, own], dim=2).flatten(0, 1)


class MultiScaleRefinement(Refinement):
    """A U-Net over the frames of a clip that adds what the autoencoder's blocks cannot say.

    It reads the decoded and the degraded frames, starts at a fraction of their height and width (the samples move
    into the channels, nothing is lost) and halves both from level to level. Decoded blocks that do not overlap are
    joined here, detail of the input that the latents do not carry passes through here, and noise is averaged over
    neighbouring frames. The zero last layer makes it the identity at initialisation.

    Args:
        shuffle: the finest level has one position for each ``shuffle``² pixels.
        channels: of each level, fine to coarse; multiples of 8.
        blocks: residual blocks of a level on the way down, and again on the way up; the coarsest has them once.

    Raises:
        ValueError: ``channels`` is empty or holds no multiples of 8, or ``blocks`` or ``shuffle`` is below 1.
    """

    def __init__(self, shuffle: int, channels: Sequence[int], blocks: int) -> None:
        super().__init__()
        if not channels or any(width < 8 or width % 8 for width in channels) or min(blocks, shuffle) < 1:
            raise ValueError(
                "refinement.channels must be multiples of 8, at least one, and refinement.blocks and .shuffle at "
                f"least 1; got {list(channels)}, {blocks} and {shuffle}"
            )

        def level(width: int) -> nn.ModuleList:
            return nn.ModuleList(ShiftedBlock(width) for _ in range(blocks))

        steps = list(pairwise(channels))
        self.spatial_multiple = shuffle * 2 ** len(steps)
        self.unshuffle = nn.PixelUnshuffle(shuffle)
        self.input = nn.Conv2d(6 * shuffle**2, channels[0], 3, padding=1)
        self.down = nn.ModuleList(level(width) for width in channels[:-1])
        self.shrink = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in steps)
        self.bottom = level(channels[-1])
        self.grow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(coarse, 4 * fine, 1), nn.PixelShuffle(2)) for fine, coarse in steps
        )
        self.up = nn.ModuleList(level(width) for width in channels[:-1])
        self.output = zero(nn.Conv2d(channels[0], 3 * shuffle**2, 3, padding=1))
        self.shuffle = nn.PixelShuffle(shuffle)

    def forward(self, decoded: Tensor, degraded: Tensor) -> Tensor:
        """See the base class."""
        clips = len(decoded)
        frames = rearrange(torch.cat([decoded, degraded], dim=1), "b c t h w -> (b t) c h w")
        # With the channels last a processor convolves up to four times as fast.
        features = self.input(self.unshuffle(frames).contiguous(memory_format=torch.channels_last))
        skips = []
        for blocks, shrink in zip(self.down, self.shrink, strict=True):
            features = _through(blocks, features, clips)
            skips.append(features)
            features = shrink(features)
        features = _through(self.bottom, features, clips)
        for blocks, grow, skip in reversed(list(zip(self.up, self.grow, skips, strict=True))):
            features = _through(blocks, grow(features) + skip, clips)
        residual = self.shuffle(self.output(features))
        return decoded + rearrange(residual, "(b t) c h w -> b c t h w", b=clips)


def _through(blocks: nn.Module, features: Tensor, clips: int) -> Tensor:
    assert isinstance(blocks, nn.ModuleList)
    for block in blocks:
        features = block(features, clips)
    return features
