"""Which codebook entries serve over all held-out clips."""

from typing import Any, Protocol, runtime_checkable

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from dvface.contracts import ClipBatch
from dvface.models.restorer import Restorer


@runtime_checkable
class ChoosesEntries(Protocol):
    """A stage that chooses codebook entries.

    Attributes:
        model: the restorer whose codebooks they are of.
    """

    model: Restorer

    def entries(self, batch: ClipBatch) -> dict[str, Tensor]:
        """Each existing side's chosen entries, (B, T', h, w, L) int64, L = 0 where nothing is quantized."""
        ...


class CodebookUsage(Callback):
    """Counts the entries that any held-out clip chooses, which no mean over clips can tell.

    Records ``held_out/entries_used_SIDE``, the share of entries chosen at least once, from 0 to 1, and
    ``held_out/dead_entries_SIDE``, the number of those never chosen, both averaged over the codebook's levels. Clips
    of all processes count together. A stage that chooses no entries records nothing.
    """

    def __init__(self) -> None:
        self._chosen: dict[str, Tensor] = {}

    def on_validation_epoch_start(self, trainer: Trainer, module: LightningModule) -> None:
        """Nothing is chosen yet."""
        self._chosen = {}
        if isinstance(module, ChoosesEntries):
            prior = module.model.prior
            books = {side: prior.codebook(side) for side in prior.branches}
            self._chosen = {
                side: torch.zeros(book.levels, book.entries, device=module.device)
                for side, book in books.items()
                if book.levels
            }

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        module: LightningModule,
        outputs: Any,
        batch: ClipBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Mark what one batch chooses."""
        if not isinstance(module, ChoosesEntries):
            return
        with torch.no_grad(), trainer.precision_plugin.forward_context():
            entries = module.entries(batch)
        if not batch.padding:
            for side, chosen in self._chosen.items():
                chosen.scatter_(1, entries[side].flatten(0, -2).T, 1.0)

    def on_validation_epoch_end(self, trainer: Trainer, module: LightningModule) -> None:
        """Put all processes' marks together and record them."""
        for side, chosen in self._chosen.items():
            anywhere = trainer.strategy.reduce(chosen, reduce_op="max")
            share = anywhere.mean()
            numbers = {"entries_used": share, "dead_entries": (1 - anywhere).sum(dim=1).mean()}
            module.log_dict({f"held_out/{name}_{side}": value for name, value in numbers.items()})
