"""A discriminator that learns beside the restorer and tells restored frames from clean ones."""

import torch
from einops import rearrange
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from dvface.losses.base import VideoLoss
from dvface.losses.discriminator import Discriminator
from dvface.losses.rotation import positive, rotating


class AdversarialLoss(VideoLoss):
    """The hinge loss of both players (Lim & Ye 2017) in one scalar, for one optimiser and one backward pass.

    generator = −D(restored), whose gradient reaches the restored clip and no parameter of D;
    discriminator = max(0, 1 − D(clean)) + max(0, 1 + D(restored)), whose gradient reaches D alone. Each is averaged
    over score maps, then over frames, places and heads. The two gradients meet nowhere, so both players step at
    once, each from the other's state before the step.

    The term's weight scales both. Adam's steps do not depend on a gradient's scale, so D learns at the stage's
    learning rate whatever the weight; clipping by the norm of all gradients counts D's too.

    Args:
        discriminator: gives score maps, high for clean frames; its parameters train and are saved with the stage.
        frames: how many frames of each clip are looked at; which ones rotates with the step.

    Raises:
        ValueError: ``frames`` is below 1.
    """

    def __init__(self, discriminator: Discriminator, frames: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.frames = positive("frames", frames)

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class; for a D that cannot tell and is within the hinge, the sum is 2 − D."""
        parts = self.parts(restored, clean, step)
        return parts["generator"] + parts["discriminator"]

    def parts(self, restored: Tensor, clean: Tensor, step: int) -> dict[str, Tensor]:
        """The two players' losses, ``generator`` and ``discriminator``."""
        chosen = rotating(restored.shape[2], self.frames, step)
        fake, real = (rearrange(video[:, :, chosen], "b c t h w -> (b t) c h w") for video in (restored, clean))
        fixed = {name: parameter.detach() for name, parameter in self.discriminator.named_parameters()}
        generator = _mean([-score for score in functional_call(self.discriminator, fixed, fake)])
        both = self.discriminator(torch.cat((real.detach(), fake.detach().to(real.dtype))))
        scores = [score.chunk(2) for score in both]
        discriminator = _mean([functional.relu(1 - clean_score) for clean_score, _ in scores]) + _mean(
            [functional.relu(1 + restored_score) for _, restored_score in scores]
        )
        return {"generator": generator, "discriminator": discriminator}


def _mean(maps: list[Tensor]) -> Tensor:
    return torch.stack([each.float().mean() for each in maps]).mean()
