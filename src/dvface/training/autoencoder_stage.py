"""The autoencoder stage, where the autoencoder is learned: pixels to latents and back, on clean clips."""

from torch import Tensor

from dvface.contracts import ClipBatch
from dvface.losses.weighted import WeightedLosses
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class AutoencoderStage(Stage):
    """The autoencoder learns to give back clean clips; nothing else learns.

    Args:
        model: the restorer whose autoencoder learns.
        losses: the weighted terms between decoded and clean video.
        learning_rate: see `Stage`.
        warmup_steps: see `Stage`.
        seed: see `Stage`.

    Raises:
        ValueError: the autoencoder has nothing to learn.
    """

    def __init__(
        self, model: Restorer, losses: WeightedLosses, learning_rate: float, warmup_steps: int, seed: int
    ) -> None:
        super().__init__(model, learning_rate, warmup_steps, seed)
        self.terms = losses
        if not list(model.autoencoder.parameters()):
            raise ValueError(f"{type(model.autoencoder).__name__} has nothing to learn; say stages/autoencoder=none")
        model.requires_grad_(False)
        model.autoencoder.requires_grad_(True)

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum and each term."""
        return self.terms(self._reconstruct(batch), batch.clean, self.global_step)

    def show(self, batch: ClipBatch) -> dict[str, Tensor]:
        """The clean clip and what the autoencoder gives back."""
        return {"clean": batch.clean, "reconstruction": self._reconstruct(batch)}

    def _reconstruct(self, batch: ClipBatch) -> Tensor:
        autoencoder = self.model.autoencoder
        return autoencoder.decode(autoencoder.encode(batch.clean))
