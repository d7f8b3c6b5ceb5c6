"""A codebook whose entries learn by gradient."""

import torch
from torch import Tensor, distributed, nn
from vector_quantize_pytorch.vector_quantize_pytorch import kmeans

from dvface.models.codebooks.moving_average import check_follows
from dvface.models.codebooks.table import LearnedTableQuantizer


class LearnedQuantizer(LearnedTableQuantizer):
    """Nearest-entry quantization whose entries are parameters (VQ-VAE, arXiv 1711.00937, equation 3).

    BFVR-STC's kind. The first training batch sets the entries to its k-means centres; an entry that hardly any
    feature chooses is moved onto a random one before features choose. An implementation of our own around the
    library's k-means: vector-quantize-pytorch weighs the codebook term by ``commitment`` too, and moves dead
    entries of each process apart. Here all processes' features count, and their entries stay equal. Entries that
    are frozen (``requires_grad`` False) stay where they are.

    Args:
        entries: K; DVFace's number is unpublished, BFVR-STC uses 1024.
        dim: C; likewise 256.
        commitment: weight of the loss that holds features near their entries.
        decay: weight of the past in the moving count of an entry's users.
        dead_below: an entry whose moving count of users falls below this is moved onto a random feature.
        usage_weight: see `TableQuantizer`; it moves features and entries.

    Raises:
        ValueError: a number is out of range.
    """

    users: Tensor
    started: Tensor

    def __init__(
        self,
        entries: int = 1024,
        dim: int = 256,
        commitment: float = 0.25,
        decay: float = 0.99,
        dead_below: float = 1.0,
        usage_weight: float = 0.1,
    ) -> None:
        super().__init__(entries, dim, commitment, usage_weight)
        check_follows(decay, dead_below)
        self.decay = decay
        self.dead_below = dead_below
        self.codes = nn.Parameter(torch.randn(entries, dim))
        # A fresh entry has time to find users: at a decay of 0.99 it is dead after 70 steps without any.
        self.register_buffer("users", torch.full((entries,), 2 * dead_below))
        self.register_buffer("started", torch.tensor(False))

    @property
    def table(self) -> Tensor:
        """See the base class."""
        return self.codes

    def assign(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """See the base class."""
        if not self.training or not self.codes.requires_grad:
            return super().assign(features)
        with torch.no_grad():
            self._settle(features)
        entries, indices = super().assign(features)
        counts = torch.bincount(indices, minlength=self.entries).float()
        if _processes() > 1:
            distributed.all_reduce(counts)
        self.users.lerp_(counts, 1 - self.decay)
        return entries, indices

    def _settle(self, features: Tensor) -> None:
        """Place entries on features: all of them at the first batch, later those that hardly anybody chooses."""
        dead = self.users < self.dead_below
        if self.started and not dead.any():
            return
        everywhere = _gather(features)
        if not self.started:
            # Distinct ones: the first latent frame's temporal features are all zero and would take many entries.
            centres, _ = kmeans(torch.unique(everywhere, dim=0)[None], self.entries)
            self.codes.copy_(centres[0])
            self.started.fill_(True)
        else:
            chosen = everywhere[torch.randperm(len(everywhere), device=features.device)]
            places = dead.nonzero().flatten()[: len(chosen)]
            self.codes[places] = chosen[: len(places)]
            self.users[places] = 2 * self.dead_below
        if _processes() > 1:
            distributed.broadcast(self.codes.data, src=0)


def _processes() -> int:
    return distributed.get_world_size() if distributed.is_initialized() else 1


def _gather(features: Tensor) -> Tensor:
    """(N, C) of this process to those of all, which hold as many each."""
    if _processes() == 1:
        return features
    everywhere = [torch.empty_like(features) for _ in range(_processes())]
    distributed.all_gather(everywhere, features.contiguous())
    return torch.cat(everywhere)
