"""Stage 1: learn the codebooks by auto-encoding clean clips."""

from torch import Tensor, nn
from torch.nn import functional

from dvface.contracts import ClipBatch
from dvface.models.priors.branch import NoBranch
from dvface.models.restorer import Restorer
from dvface.training.stage import Stage


class CodebookStage(Stage):
    """Clean clips through encoder, extractors and codebooks, and back to pixels: L1 + commitment.

    Both sides' entries are added before decoding, as in BFVR-STC (z_s + z_t).

    Args:
        model: the restorer whose prior learns.
        decoder: entries to pixels; it serves this stage only.
        learning_rate: see `Stage`.
        warmup_steps: see `Stage`.
        seed: see `Stage`.
    """

    def __init__(self, model: Restorer, decoder: nn.Module, learning_rate: float, warmup_steps: int, seed: int) -> None:
        super().__init__(model, learning_rate, warmup_steps, seed)
        self.decoder = decoder
        if all(isinstance(branch, NoBranch) for branch in model.prior.branches.values()):
            raise ValueError("both sides of the prior are none: there is no codebook to learn")
        model.requires_grad_(False)
        model.prior.encoder.requires_grad_(True)
        for branch in model.prior.branches.values():
            branch.requires_grad_(True)
            if predictor := getattr(branch, "predictor", None):
                predictor.requires_grad_(False)

    def losses(self, batch: ClipBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Reconstruction, commitment and each codebook's perplexity."""
        prior = self.model.prior
        features = prior.encoder(batch.clean)
        sides = {
            name: side[1] for name, branch in prior.branches.items() if (side := branch.quantize(features)) is not None
        }
        reconstruction = self.decoder(sum(side.features for side in sides.values()))
        error = functional.l1_loss(reconstruction, batch.clean)
        commitment = sum((side.loss for side in sides.values()), start=error.new_zeros(()))
        perplexities = {f"perplexity_{name}": side.perplexity for name, side in sides.items()}
        return error + commitment, {"reconstruction": error, "commitment": commitment, **perplexities}
