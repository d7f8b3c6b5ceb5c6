"""A refinement that takes back what its clip did not need: a restoration strength that follows the input."""

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional

from dvface.models.refinement import Refinement
from dvface.models.zero import zero

POSITION = 4
"""The finest positions of the strength's network are so many pixels wide and high."""
STRIDE = 4 * POSITION
"""The strength has one value for so many pixels of width and height, and changes smoothly between them."""


class Strength(nn.Module):
    """How much of a change is wanted, by place and frame, from what was changed and how the clip looks as a whole.

    A face restorer's fidelity weight (CodeFormer's w) is chosen by the user, for a whole picture; this one is learned
    and follows the input. It is 1 everywhere before training.

    Args:
        channels: of its features.

    Raises:
        ValueError: ``channels`` is below 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"refinement.channels must be at least 1, got {channels}")
        self.unshuffle = nn.PixelUnshuffle(POSITION)
        self.fine = nn.Conv2d(6 * POSITION**2, channels, 3, stride=2, padding=1)
        self.coarse = nn.Conv2d(channels, channels, 3, stride=2, padding=1)
        self.whole = nn.Linear(channels, channels)
        self.output = zero(nn.Conv2d(channels, 1, 3, padding=1))
        self.activation = nn.SiLU()

    def forward(self, restored: Tensor, degraded: Tensor) -> Tensor:
        """(B, 3, T, H, W) twice, H and W multiples of `STRIDE`, to (B, 1, T, H, W) in (0, 2)."""
        clips, height, width = len(degraded), *degraded.shape[-2:]
        frames = rearrange(torch.cat([degraded, restored - degraded], dim=1), "b c t h w -> (b t) c h w")
        features = self.unshuffle(frames).contiguous(memory_format=torch.channels_last)
        features = self.activation(self.coarse(self.activation(self.fine(features))))
        # How strongly footage is degraded shows best in all of it.
        clip = self.whole(rearrange(features, "(b t) c h w -> b (t h w) c", b=clips).mean(dim=1))
        frame = clip.repeat_interleave(len(features) // clips, dim=0)
        features = self.activation(features + frame[:, :, None, None])
        strength = functional.interpolate(
            2 * self.output(features).sigmoid(), (height, width), mode="bilinear", align_corners=False
        )
        return rearrange(strength, "(b t) c h w -> b c t h w", b=clips)


class GatedRefinement(Refinement):
    """restored = degraded + strength · (body's result − degraded).

    Good footage is left alone where the body, trained on all kinds, would soften it. Before training it is its body.

    Args:
        body: the refinement whose change is weighed.
        channels: of the features that the strength is read from.

    Raises:
        ValueError: ``channels`` is below 1, or the body takes pictures whose size is no multiple of `STRIDE`
            and no part of it.
    """

    def __init__(self, body: Refinement, channels: int) -> None:
        super().__init__()
        if body.spatial_multiple % STRIDE and STRIDE % body.spatial_multiple:
            raise ValueError(
                f"refinement.body takes multiples of {body.spatial_multiple} pixels, which neither divides {STRIDE} "
                "nor is a multiple of it; choose another body"
            )
        self.spatial_multiple = max(STRIDE, body.spatial_multiple)
        self.body = body
        self.strength = Strength(channels)

    def forward(self, decoded: Tensor, degraded: Tensor) -> Tensor:
        """See the base class."""
        change = self.body(decoded, degraded) - degraded
        return degraded + self.strength(degraded + change, degraded) * change
