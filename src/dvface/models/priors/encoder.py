"""From a clip to the features that both branches read."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from einops import rearrange
from torch import Tensor, nn

from dvface.contracts import LatentLayout, Views
from dvface.models.priors.layers import ResidualBlock


class PriorEncoder(nn.Module, ABC):
    """A clip to features.

    Every encoder takes ``layout``, what the autoencoder's latents look like, as its last argument, whether it
    reads latents or pixels.

    Attributes:
        spatial_stride: pixels that one feature stands for.
    """

    spatial_stride: int

    @abstractmethod
    def forward(self, views: Views) -> Tensor:
        """The clip to (B, T or T', H/stride, W/stride, C)."""


class NoEncoder(PriorEncoder):
    """Stands where no branch reads an encoder: features without channels, and no weights that would only count.

    Args:
        spatial_stride: of the encoder that is left out, so that clips are cropped as they were with it.
    """

    def __init__(self, spatial_stride: int) -> None:
        super().__init__()
        self.spatial_stride = spatial_stride

    def forward(self, views: Views) -> Tensor:
        """(B, T, H/stride, W/stride, 0)."""
        batch, _, frames, height, width = views.video.shape
        return views.video.new_zeros(batch, frames, height // self.spatial_stride, width // self.spatial_stride, 0)


class ConvolutionEncoder(PriorEncoder):
    """Convolutions on pixels, frame by frame; each level halves height and width.

    The paper draws one "prior encoder" on the degraded pixels and gives no layers. Time is left to the
    temporal branch, so 2-D convolutions do.

    Args:
        channels: channels of each level, all multiples of 8; three levels give the Wan VAE's stride of 8.
        blocks: residual blocks a level.
        dim: channels C of the output.
        layout: of the latents, which this encoder does not read.
    """

    def __init__(self, channels: Sequence[int], blocks: int, dim: int, layout: LatentLayout) -> None:
        super().__init__()
        self.spatial_stride = 2 ** len(channels)
        levels: list[nn.Module] = []
        previous = 3
        for width in channels:
            levels.append(nn.Conv2d(previous, width, 4, stride=2, padding=1))
            levels.extend(ResidualBlock(width) for _ in range(blocks))
            previous = width
        self.body = nn.Sequential(*levels, nn.GroupNorm(8, previous), nn.SiLU(), nn.Conv2d(previous, dim, 1))

    def forward(self, views: Views) -> Tensor:
        """Pixels to (B, T, H/stride, W/stride, C)."""
        features = self.body(rearrange(views.video, "b c t h w -> (b t) c h w"))
        return rearrange(features, "(b t) c h w -> b t h w c", b=len(views.video))
