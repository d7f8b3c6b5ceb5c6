"""From codebook entries back to pixels: needed only while the codebooks are learned."""

from collections.abc import Sequence

import torch
from einops import rearrange
from torch import Tensor, nn

from dvface.models.priors.layers import ResidualBlock


class CodebookDecoder(nn.Module):
    """Convolutions latent frame by latent frame; each level doubles height and width.

    A latent frame holds ``temporal_stride`` frames, which the last layer gives as channels; the first latent
    frame stands for one frame alone.

    Args:
        dim: channels C of the entries.
        channels: channels of each level, coarse to fine, all multiples of 8.
        blocks: residual blocks a level.
        spatial_stride: pixels an entry stands for; a power of two, with one level for each doubling.
        temporal_stride: frames a latent frame stands for.

    Raises:
        ValueError: there is not one level for each doubling.
    """

    def __init__(
        self, dim: int, channels: Sequence[int], blocks: int, spatial_stride: int, temporal_stride: int
    ) -> None:
        super().__init__()
        if 2 ** len(channels) != spatial_stride:
            raise ValueError(
                f"decoder.channels has {len(channels)} levels, which undo a stride of {2 ** len(channels)}; "
                f"the prior's encoder has {spatial_stride}"
            )
        self.temporal_stride = temporal_stride
        levels: list[nn.Module] = [nn.Conv2d(dim, channels[0], 3, padding=1)]
        for width, following in zip(channels, [*channels[1:], 3 * temporal_stride], strict=True):
            levels.extend(ResidualBlock(width) for _ in range(blocks))
            levels.append(nn.Conv2d(width, 4 * following, 3, padding=1))
            levels.append(nn.PixelShuffle(2))
        self.body = nn.Sequential(*levels)

    def forward(self, entries: Tensor) -> Tensor:
        """(B, T', h, w, C) to video (B, 3, T, H, W)."""
        decoded = self.body(rearrange(entries, "b t h w c -> (b t) c h w"))
        video = rearrange(decoded, "(b t) (c p) h w -> b c (t p) h w", b=entries.shape[0], p=self.temporal_stride)
        first = video[:, :, : self.temporal_stride].mean(dim=2, keepdim=True)
        return torch.cat([first, video[:, :, self.temporal_stride :]], dim=2)
