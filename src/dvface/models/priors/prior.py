"""The spatio-temporal prior as one network: an encoder, two branches, and one codebook for each or for both."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from dvface.contracts import LatentLayout, PriorFeatures, PriorSide, Quantized, Views
from dvface.models.codebooks.base import Quantizer, full_precision
from dvface.models.priors.branch import Branch
from dvface.models.priors.encoder import NoEncoder, PriorEncoder

SIDES = ("spatial", "temporal")


class Prior(nn.Module, ABC):
    """One encoder and two branches (the paper's Figure 2b).

    Attributes:
        encoder: a clip to features.
        spatial: the branch of C_s.
        temporal: the branch of C_t.
    """

    encoder: PriorEncoder
    spatial: Branch
    temporal: Branch

    @abstractmethod
    def codebook(self, side: str) -> Quantizer:
        """The codebook of ``spatial`` or ``temporal``."""

    @abstractmethod
    def quantize(self, own: Mapping[str, Tensor]) -> dict[str, Quantized]:
        """What the codebooks make of each side's own features, from a clean clip."""

    @property
    def branches(self) -> dict[str, Branch]:
        """The sides that exist."""
        return {name: branch for name in SIDES if (branch := getattr(self, name)).active}

    @property
    def codebooks(self) -> list[Quantizer]:
        """The codebooks in use, each once."""
        return list(dict.fromkeys(self.codebook(side) for side in self.branches))

    def _drop_unread_encoder(self) -> None:
        """A prior without sides is to cost nothing: its ablation is compared by parameters and time too."""
        if not self.branches:
            self.encoder = NoEncoder(self.encoder.spatial_stride)

    def extract(self, views: Views) -> dict[str, Tensor]:
        """Each existing side's own features (B, T', h, w, C) of a clip.

        In float32 whatever the precision around it: of the small differences between frames bfloat16 leaves little.
        """
        with full_precision(views.video):
            features = self.encoder(views)
            return {name: branch.extract(features, views.latent_frames) for name, branch in self.branches.items()}

    def forward(self, degraded: Views) -> PriorFeatures:
        """A degraded clip to f_s and f_t on the grid (B, T', H/stride, W/stride)."""
        batch, _, _, height, width = degraded.video.shape
        grid = (height // self.encoder.spatial_stride, width // self.encoder.spatial_stride)
        sides = {name: PriorSide.empty(batch, degraded.latent_frames, *grid, like=degraded.video) for name in SIDES}
        for name, own in self.extract(degraded).items():
            sides[name] = self.codebook(name).choose(self.branches[name].score(own))
        return PriorFeatures(**sides)


class DualPrior(Prior):
    """A codebook for each side, as the paper draws it.

    Args:
        encoder: makes the encoder.
        spatial: makes the spatial branch.
        temporal: makes the temporal branch.
        spatial_codebook: C_s.
        temporal_codebook: C_t.
        layout: of the latents.
    """

    def __init__(
        self,
        encoder: Callable[..., PriorEncoder],
        spatial: Callable[..., Branch],
        temporal: Callable[..., Branch],
        spatial_codebook: Quantizer,
        temporal_codebook: Quantizer,
        layout: LatentLayout,
    ) -> None:
        super().__init__()
        self.encoder = encoder(layout=layout)
        self.spatial = spatial(outputs=spatial_codebook.outputs)
        self.temporal = temporal(outputs=temporal_codebook.outputs)
        self._drop_unread_encoder()
        both = {"spatial": spatial_codebook, "temporal": temporal_codebook}
        self.own_codebooks = nn.ModuleDict({name: both[name] for name in self.branches})

    def codebook(self, side: str) -> Quantizer:
        """See the base class."""
        found = self.own_codebooks[side]
        assert isinstance(found, Quantizer)
        return found

    def quantize(self, own: Mapping[str, Tensor]) -> dict[str, Quantized]:
        """See the base class."""
        return {name: self.codebook(name)(features) for name, features in own.items()}


class SharedPrior(Prior):
    """One codebook for both sides: what the paper's second codebook is compared with.

    Args:
        encoder: makes the encoder.
        spatial: makes the spatial branch.
        temporal: makes the temporal branch.
        shared_codebook: serves both.
        layout: of the latents.
    """

    def __init__(
        self,
        encoder: Callable[..., PriorEncoder],
        spatial: Callable[..., Branch],
        temporal: Callable[..., Branch],
        shared_codebook: Quantizer,
        layout: LatentLayout,
    ) -> None:
        super().__init__()
        self.encoder = encoder(layout=layout)
        self.spatial = spatial(outputs=shared_codebook.outputs)
        self.temporal = temporal(outputs=shared_codebook.outputs)
        self._drop_unread_encoder()
        self.shared_codebook = shared_codebook

    def codebook(self, side: str) -> Quantizer:
        """The same for both."""
        return self.shared_codebook

    def quantize(self, own: Mapping[str, Tensor]) -> dict[str, Quantized]:
        """Both sides at once, so that one update of the codebook sees both.

        Loss, perplexity and usage are the whole codebook's; each side reports its share of the loss.
        """
        together: Quantized = self.shared_codebook(torch.cat(list(own.values())))
        sizes = [len(features) for features in own.values()]
        features = together.features.split(sizes)
        indices = together.indices.split(sizes)
        loss = together.loss / len(sizes)
        return {
            name: Quantized(features[number], indices[number], loss, together.perplexity, together.usage)
            for number, name in enumerate(own)
        }
