"""How far restored faces are from the person; an identity loss."""

import torch
from einops import rearrange
from torch import Tensor

from dvface.losses.base import VideoLoss
from dvface.losses.rotation import positive, rotating
from dvface.perception.arcface import ArcFace


class IdentityLoss(VideoLoss):
    """1 − cos between the identities of restored and clean frames, from 0 (one person) to 2.

    As in face restorers trained on single images (GFPGAN, Wang et al. 2021; OSDFace, 2024). Whole frames are
    embedded, so clips must be aligned face crops; nothing looks for a face.

    Args:
        network: gives a unit-length identity a frame.
        frames: how many frames of each clip are looked at; which ones rotates with the step.

    Raises:
        ValueError: ``frames`` is below 1.
    """

    def __init__(self, network: ArcFace, frames: int) -> None:
        super().__init__()
        self.network = network
        self.frames = positive("frames", frames)

    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """See the base class."""
        chosen = rotating(restored.shape[2], self.frames, step)
        identity = self._identities(restored, chosen)
        with torch.no_grad():
            wanted = self._identities(clean, chosen)
        return 1 - (identity * wanted).sum(dim=1).mean()

    def _identities(self, video: Tensor, chosen: list[int]) -> Tensor:
        return self.network.embed(rearrange(video[:, :, chosen], "b c t h w -> (b t) c h w"))
