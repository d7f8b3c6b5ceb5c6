"""Other temporal features than the paper's: what each part of `AttentionDifference` is worth, and alignment."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from dvface.models.priors.extractors import Extractor, FrameAttention, movement, summed
from dvface.models.priors.layers import group_frames
from dvface.models.zero import zero


class FrameDifference(Extractor):
    """The difference to the frame before and nothing else; a static clip has none."""

    def forward(self, features: Tensor, latent_frames: int) -> Tensor:
        """See the base class."""
        return movement(features, latent_frames)


class TemporalAttention(FrameAttention):
    """Attention over the frames at each position, and then means over latent frames instead of differences.

    Unlike a difference it sees static content: a static clip gives equal frames, not zeros.
    """

    def forward(self, features: Tensor, latent_frames: int) -> Tensor:
        """See the base class."""
        return group_frames(self.attended(features), latent_frames)


class TemporalConvolution(Extractor):
    """Convolution over time and space, activation, convolution; then means over latent frames.

    Causal: a frame sees itself and those before it; the first frame is repeated before the clip's beginning, so a
    static clip gives equal frames. Like `TemporalAttention` it sees static content.

    Args:
        dim: channels C.
        frames: frames that each convolution sees.

    Raises:
        ValueError: ``frames`` is below 2, which would see no time.
    """

    def __init__(self, dim: int, frames: int) -> None:
        super().__init__()
        if frames < 2:
            raise ValueError(f"frames must be at least 2, got {frames}")
        self.past = frames - 1
        self.first = nn.Conv3d(dim, dim, (frames, 3, 3), padding=(0, 1, 1))
        self.second = nn.Conv3d(dim, dim, (frames, 3, 3), padding=(0, 1, 1))

    def forward(self, features: Tensor, latent_frames: int) -> Tensor:
        """See the base class."""
        hidden = self.first(self._with_past(rearrange(features, "b t h w c -> b c t h w")))
        enhanced = self.second(self._with_past(functional.silu(hidden)))
        return group_frames(rearrange(enhanced, "b c t h w -> b t h w c"), latent_frames)

    def _with_past(self, frames: Tensor) -> Tensor:
        return torch.cat([frames[:, :, :1].expand(-1, -1, self.past, -1, -1), frames], dim=2)


class FlowDifference(Extractor):
    """The difference to the frame before, after that has been moved to where its content is now.

    What is left is what changed rather than what merely moved: alignment before comparison, as flow-based video
    super-resolution aligns features (TOFlow, arXiv 1711.09078). A small network reads the displacement from both
    frames' features. It is asked twice, with the frames exchanged, and half the difference counts: equal frames
    are never displaced, whatever it has learned, so a static clip has no motion. Untrained it displaces nothing,
    which is `FrameDifference`.

    Args:
        dim: channels C.
        width: channels of the small network.
    """

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        # Without a bias, which exchanging the frames would cancel.
        self.displacement = nn.Sequential(
            nn.Conv2d(2 * dim, width, 3, padding=1),
            nn.SiLU(),
            zero(nn.Conv2d(width, 2, 3, padding=1, bias=False)),
        )

    def forward(self, features: Tensor, latent_frames: int) -> Tensor:
        """See the base class."""
        batch, frames = features.shape[:2]
        images = rearrange(features, "b t h w c -> b t c h w")
        now = images[:, 1:].flatten(0, 1)
        before = images[:, :-1].flatten(0, 1)
        there, back = (self.displacement(torch.cat(pair, dim=1)) for pair in ((before, now), (now, before)))
        left = (now - displaced(before, (there - back) / 2)).unflatten(0, (batch, frames - 1))
        differences = torch.cat([torch.zeros_like(images[:, :1]), left], dim=1)
        return summed(rearrange(differences, "b t c h w -> b t h w c"), latent_frames)


def displaced(images: Tensor, displacement: Tensor) -> Tensor:
    """Where ``displacement`` points: bilinear, the border repeated outside.

    Args:
        images: (N, C, h, w).
        displacement: (N, 2, h, w), how many columns and rows away each position's content is taken from.

    Returns:
        (N, C, h, w), of the type of ``images``.
    """
    height, width = images.shape[2:]
    # In float32: bfloat16 cannot tell neighbouring columns apart beyond 256.
    columns, rows = displacement.float().unbind(dim=1)
    columns = columns + torch.arange(width, device=images.device)
    rows = rows + torch.arange(height, device=images.device)[:, None]
    grid = torch.stack([(2 * columns + 1) / width - 1, (2 * rows + 1) / height - 1], dim=-1)
    sampled = functional.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
    return sampled.to(images.dtype)
