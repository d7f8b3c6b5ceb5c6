"""The module before each backbone block that injects the prior."""

from collections.abc import Callable

from torch import Tensor, nn

from dvface.contracts import Grid, PriorFeatures
from dvface.models.fusion.base import Injection, NoInjection


class Fusion(nn.Module):
    """Injects the temporal side, then the spatial side.

    The paper's asymmetric module (ASTF, Figure 2c) is temporal = `Modulation`, spatial = `CrossAttention`:
    "temporal priors globally, spatial priors locally". Symmetric, swapped and ablated fusions are this class
    with other parts. Exactly the identity at initialisation.

    Args:
        temporal: makes the injection of f_t; a factory, since every block has its own weights.
        spatial: makes the injection of f_s.
    """

    def __init__(self, temporal: Callable[[], Injection], spatial: Callable[[], Injection]) -> None:
        super().__init__()
        self.temporal = temporal()
        self.spatial = spatial()

    def forward(self, tokens: Tensor, prior: PriorFeatures, grid: Grid) -> Tensor:
        """(B, T'·H'·W', D) tokens to the same shape."""
        tokens = self.temporal(tokens, prior.temporal, prior, grid)
        return self.spatial(tokens, prior.spatial, prior, grid)


class Fusions(nn.ModuleList):
    """The fusions of a backbone, one a block.

    Args:
        temporal: see `Fusion`.
        spatial: see `Fusion`.
        every: a fusion stands before every ``every``-th block, the first included; the paper draws one before each.
        blocks: of the backbone.

    Raises:
        ValueError: ``every`` or ``blocks`` is below 1.
    """

    def __init__(
        self, temporal: Callable[[], Injection], spatial: Callable[[], Injection], every: int, blocks: int
    ) -> None:
        if blocks < 1:
            raise ValueError(f"the backbone must have at least 1 layer, got {blocks}")
        if every < 1:
            raise ValueError(f"fusion.every must be at least 1, got {every}")
        super().__init__(
            Fusion(temporal, spatial) if number % every == 0 else Fusion(NoInjection, NoInjection)
            for number in range(blocks)
        )
