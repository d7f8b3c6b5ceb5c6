"""From pixels to the features that both branches read."""

from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn

from dvface.models.priors.layers import ResidualBlock


class ConvolutionEncoder(nn.Module):
    """Convolutions frame by frame; each level halves height and width.

    The paper draws one "prior encoder" on the degraded pixels and gives no layers. Time is left to the
    temporal branch, so 2-D convolutions do.

    Args:
        channels: channels of each level, all multiples of 8; three levels give the Wan VAE's stride of 8.
        blocks: residual blocks a level.
        dim: channels C of the output.
    """

    def __init__(self, channels: Sequence[int], blocks: int, dim: int) -> None:
        super().__init__()
        self.spatial_stride = 2 ** len(channels)
        levels: list[nn.Module] = []
        previous = 3
        for width in channels:
            levels.append(nn.Conv2d(previous, width, 4, stride=2, padding=1))
            levels.extend(ResidualBlock(width) for _ in range(blocks))
            previous = width
        self.body = nn.Sequential(*levels, nn.GroupNorm(8, previous), nn.SiLU(), nn.Conv2d(previous, dim, 1))

    def forward(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] to (B, T, H/stride, W/stride, C)."""
        features = self.body(rearrange(video, "b c t h w -> (b t) c h w"))
        return rearrange(features, "(b t) c h w -> b t h w c", b=video.shape[0])
