"""How different restored frames look from clean ones; L_per."""

from einops import rearrange
from torch import Tensor

from dvface.losses.base import VideoLoss
from dvface.losses.rotation import positive, rotating
from dvface.perception.perceptual import FrameDistance


class PerceptualLoss(VideoLoss):
    """A perceptual distance on a few frames of each clip; L_per.

    Args:
        network: gives one distance a frame.
        frames: how many frames of each clip are looked at; which ones rotates with the step.

    Raises:
        ValueError: ``frames`` is below 1.
    """

    def __init__(self, network: FrameDistance, frames: int) -> None:
        super().__init__()
        self.network = network
        self.frames = positive("frames", frames)

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        chosen = rotating(restored.shape[2], self.frames, step)
        flat = (rearrange(video[:, :, chosen], "b c t h w -> (b t) c h w") for video in (restored, clean))
        distances: Tensor = self.network(*flat)
        return distances.mean()
