"""How different restored frames look from clean ones; L_per."""

from einops import rearrange
from torch import Tensor

from dvface.losses.base import VideoLoss
from dvface.perception.perceptual import PerceptualNetwork


class PerceptualLoss(VideoLoss):
    """A perceptual distance on a few frames of each clip; L_per.

    Args:
        network: gives one distance a frame.
        frames: how many frames of each clip are looked at; which ones rotates with the step.
    """

    def __init__(self, network: PerceptualNetwork, frames: int) -> None:
        super().__init__()
        self.network = network
        self.frames = frames

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        length = restored.shape[2]
        count = min(self.frames, length)
        chosen = [(step + number * length // count) % length for number in range(count)]
        flat = (rearrange(video[:, :, chosen], "b c t h w -> (b t) c h w") for video in (restored, clean))
        return self.network(*flat).mean()
