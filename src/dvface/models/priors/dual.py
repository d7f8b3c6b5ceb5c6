"""The spatio-temporal dual codebook as one network."""

from torch import Tensor, nn

from dvface.contracts import PriorFeatures
from dvface.models.priors.branch import Branch


class DualPrior(nn.Module):
    """One pixel encoder and two branches (the paper's Figure 2b).

    Args:
        encoder: (B, 3, T, H, W) pixels to (B, T, h, w, C) features.
        spatial: the branch of C_s.
        temporal: the branch of C_t.
    """

    def __init__(self, encoder: nn.Module, spatial: Branch, temporal: Branch) -> None:
        super().__init__()
        self.encoder = encoder
        self.spatial = spatial
        self.temporal = temporal

    @property
    def branches(self) -> dict[str, Branch]:
        """The two branches by name."""
        return {"spatial": self.spatial, "temporal": self.temporal}

    def forward(self, degraded: Tensor) -> PriorFeatures:
        """(B, 3, T, H, W) in [-1, 1] to f_s and f_t on the grid (B, T', H/stride, W/stride)."""
        features = self.encoder(degraded)
        return PriorFeatures(spatial=self.spatial.predict(features)[1], temporal=self.temporal.predict(features)[1])
