"""A plain transformer: what Wan's blocks are compared with at sizes that are trained from scratch."""

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from dvface.contracts import Grid, LatentLayout, PriorFeatures
from dvface.models.backbones.base import Backbone
from dvface.models.backbones.layers import SpaceAttention, TimeAttention
from dvface.models.backbones.one_step import OneStep
from dvface.models.backbones.patches import Patches, frames_to_tokens, to_frames
from dvface.models.zero import zero


class PlainBlock(nn.Module):
    """A fusion, attention in space, attention in time, feed-forward; every part residual.

    Args:
        token_dim: channels D of a token.
        heads: attention heads.
        feed_forward_dim: hidden channels of the feed-forward.
    """

    def __init__(self, token_dim: int, heads: int, feed_forward_dim: int) -> None:
        super().__init__()
        self.space = SpaceAttention(token_dim, heads)
        self.time = TimeAttention(token_dim, heads)
        self.feed_forward = nn.Sequential(
            nn.LayerNorm(token_dim),
            nn.Linear(token_dim, feed_forward_dim),
            nn.GELU(),
            nn.Linear(feed_forward_dim, token_dim),
        )

    def forward(self, tokens: Tensor, fusion: nn.Module, prior: PriorFeatures, grid: Grid) -> Tensor:
        """(B, T'·H'·W', D) to the same shape."""
        tokens = self.time(self.space(fusion(tokens, prior, grid), grid), grid)
        return tokens + self.feed_forward(tokens)


class PlainBackbone(Backbone):
    """Attention in space and in time by turns ("factorised", ViViT, arXiv 2103.15691), without Wan's conditions.

    The timestep and the text never change in one-step restoration, so it has neither. The zero output layer makes
    the untrained backbone the identity.

    Args:
        patch_size: latent frames (1), rows and columns of one token.
        token_dim: channels D of a token, a multiple of ``heads``.
        heads: attention heads.
        layers: blocks N.
        feed_forward_dim: hidden channels of each block's feed-forward.
        one_step: how the output becomes restored latents; its timestep is not used.
        fusions: makes the fusions of all blocks.
        layout: of the latents.

    Raises:
        ValueError: ``patch_size`` is no such patch, or ``token_dim`` no multiple of ``heads``.
    """

    def __init__(
        self,
        patch_size: Sequence[int],
        token_dim: int,
        heads: int,
        layers: int,
        feed_forward_dim: int,
        one_step: OneStep,
        fusions: Callable[..., nn.ModuleList],
        layout: LatentLayout,
    ) -> None:
        super().__init__(one_step, layout)
        self.patches = Patches(patch_size)
        self.spatial_multiple = self.patches.spatial_multiple
        rows, columns = self.patches.size[1:]
        self.input = nn.Conv2d(layout.channels, token_dim, (rows, columns), stride=(rows, columns))
        self.blocks = nn.ModuleList(PlainBlock(token_dim, heads, feed_forward_dim) for _ in range(layers))
        self.fusions = fusions(blocks=layers)
        self.output = nn.Sequential(
            nn.LayerNorm(token_dim), zero(nn.Linear(token_dim, rows * columns * layout.channels))
        )

    def predict(self, latents: Tensor, prior: PriorFeatures) -> Tensor:
        """See the base class."""
        grid = self.patches.grid(latents)
        tokens = frames_to_tokens(self.input(to_frames(latents)), grid)
        for fusion, block in zip(self.fusions, self.blocks, strict=True):
            tokens = self.run_block(block, tokens, fusion, prior, grid)
        return self.patches.join(self.output(tokens), grid)
