"""The codebook stage: learn the codebooks by auto-encoding clean clips."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn
from torch.nn import functional

from dvface.contracts import ClipBatch, Quantized
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class CodebookStage(Stage):
    """Clean clips through encoder, extractors and codebooks, and back to pixels: L1 + the quantizers' own losses.

    Both sides' entries are added before decoding, as in BFVR-STC (z_s + z_t). How a quantizer keeps its entries
    in use is its own (see its ``usage`` arguments); perplexity and usage are logged.

    Args:
        model: the restorer whose prior learns.
        decoder: makes the network from entries to pixels; it serves this stage only.
        learning_rate: see `Stage`.
        warmup_steps: see `Stage`.
        seed: see `Stage`.

    Raises:
        ValueError: both sides of the prior are none, or their entries differ in size.
    """

    def __init__(
        self,
        model: Restorer,
        decoder: Callable[..., nn.Module],
        learning_rate: float,
        warmup_steps: int,
        seed: int,
    ) -> None:
        super().__init__(model, learning_rate, warmup_steps, seed)
        prior = model.prior
        if not prior.branches:
            raise ValueError(
                "both sides of the prior are none, there is no codebook to learn; say stages/codebook=none"
            )
        sizes = {codebook.dim for codebook in prior.codebooks}
        if len(sizes) > 1:
            raise ValueError(f"both sides' entries are added, so they need one size, got {sorted(sizes)} channels")
        self.decoder = decoder(
            dim=sizes.pop(),
            spatial_stride=prior.encoder.spatial_stride,
            temporal_stride=model.autoencoder.temporal_stride,
        )
        model.requires_grad_(False)
        prior.requires_grad_(True)
        for branch in prior.branches.values():
            branch.freeze_predictor()

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction, the quantizers' losses, each codebook's perplexity and usage."""
        sides = self._quantize(batch)
        reconstruction = self._decode(sides)
        values = {"reconstruction": functional.l1_loss(reconstruction, batch.clean)}
        for name, side in sides.items():
            values[f"codebook_{name}"] = side.loss
        total = sum(values.values(), start=batch.clean.new_zeros(()))
        for name, side in sides.items():
            values[f"perplexity_{name}"] = side.perplexity
            values[f"usage_{name}"] = side.usage
        return total, values

    def show(self, batch: ClipBatch) -> dict[str, Tensor]:
        """The clean clip and what is left of it in entries."""
        return {"clean": batch.clean, "reconstruction": self._decode(self._quantize(batch))}

    def entries(self, batch: ClipBatch) -> dict[str, Tensor]:
        """The entries that the clean clips choose, of each side (B, T', h, w, L) int64."""
        return {name: side.indices for name, side in self._quantize(batch).items()}

    def _quantize(self, batch: ClipBatch) -> dict[str, Quantized]:
        prior = self.model.prior
        return prior.quantize(prior.extract(self.model.views(batch.clean)))

    def _decode(self, sides: Mapping[str, Quantized]) -> Tensor:
        video: Tensor = self.decoder(sum(side.features for side in sides.values()))
        return video
