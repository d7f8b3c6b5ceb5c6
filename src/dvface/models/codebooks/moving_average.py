"""Codebooks whose entries follow the features."""

import torch
from torch import Tensor, distributed
from vector_quantize_pytorch import VectorQuantize
from vector_quantize_pytorch.vector_quantize_pytorch import sample_vectors_distributed

from dvface.models.codebooks.table import TableQuantizer


class MovingAverageQuantizer(TableQuantizer):
    """Nearest-entry quantization whose entries follow the features by an exponential moving average.

    VQ-VAE's second variant (arXiv 1711.00937, appendix A.1), by vector-quantize-pytorch: entries start at the
    k-means centres of the first training batch, and an entry that hardly any feature chooses is moved onto one.
    Before that batch they are random.

    Args:
        entries: K; DVFace's number is unpublished, BFVR-STC uses 1024.
        dim: C; likewise 256.
        decay: weight of the past in the moving average.
        commitment: weight of the loss that holds features near their entries.
        dead_below: an entry whose moving count of users falls below this is moved onto a random feature.
        usage_weight: see `TableQuantizer`; it moves the features, for the entries have no gradient.

    Raises:
        ValueError: a number is out of range.
    """

    cosine = False

    def __init__(
        self,
        entries: int = 1024,
        dim: int = 256,
        decay: float = 0.99,
        commitment: float = 0.25,
        dead_below: float = 1.0,
        usage_weight: float = 0.0,
    ) -> None:
        super().__init__(entries, dim, commitment, usage_weight)
        check_follows(decay, dead_below)
        self.codebook = VectorQuantize(
            dim=dim,
            codebook_size=entries,
            decay=decay,
            commitment_weight=0.0,
            use_cosine_sim=self.cosine,
            kmeans_init=True,
            threshold_ema_dead_code=dead_below,
            rotation_trick=False,
            sync_codebook=False,
        )
        self.codebook.codebook = self.prepare(torch.randn(entries, dim))

    @property
    def table(self) -> Tensor:
        """See the base class."""
        table: Tensor = self.codebook.codebook
        return table

    def assign(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class. The library is asked in training only: it would start its k-means in evaluation too."""
        if not self.training:
            return super().assign(features)
        self._hear_all_processes()
        entries, indices, _ = self.codebook(features[None])
        return entries[0], indices[0]

    def _hear_all_processes(self) -> None:
        """Let the entries follow every process's features; the library looks for processes when it is built only."""
        book = self.codebook._codebook
        if book.use_ddp or not distributed.is_initialized() or distributed.get_world_size() == 1:
            return
        book.use_ddp = True
        book.sample_fn = book.replace_sample_fn = sample_vectors_distributed
        book.all_reduce_fn = book.kmeans_all_reduce_fn = distributed.all_reduce


class CosineQuantizer(MovingAverageQuantizer):
    """`MovingAverageQuantizer` on the unit sphere: features and entries have length 1, and direction alone counts.

    Cosine similarity keeps more entries in use (ViT-VQGAN, arXiv 2110.04627). Gradients pass straight through to
    the normalised features.
    """

    cosine = True

    def prepare(self, features: Tensor) -> Tensor:
        """(N, C) features to unit length, those of nearly no length to nearly none.

        Temporal features of repeated frames are zero up to rounding, and a plain division would hand that
        rounding on to the encoder a billion times enlarged.
        """
        return features * torch.rsqrt(features.square().sum(dim=-1, keepdim=True) + 1e-6)


def check_follows(decay: float, dead_below: float) -> None:
    """Refuse what no moving count can use.

    Raises:
        ValueError: ``decay`` lies outside (0, 1), or ``dead_below`` below 0.
    """
    if not 0 < decay < 1:
        raise ValueError(f"decay must lie between 0 and 1, got {decay}")
    if dead_below < 0:
        raise ValueError(f"dead_below must not be negative, got {dead_below}")
