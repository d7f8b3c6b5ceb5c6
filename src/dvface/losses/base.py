"""What every term of a loss offers."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class VideoLoss(nn.Module, ABC):
    """One term of the restorer's loss."""

    @abstractmethod
    def forward(self, restored: Tensor, clean: Tensor, step: int) -> Tensor:
        """A scalar.

        Args:
            restored: (B, 3, T, H, W), not clamped.
            clean: the same shape, in [-1, 1].
            step: the optimiser's step, by which a term that looks at a part chooses it, so that a resumed run
                chooses as an uninterrupted one.
        """

    def parts(self, restored: Tensor, clean: Tensor, step: int) -> dict[str, Tensor]:
        """The scalars that `forward` adds up, by name, for a term that has several; they are logged too.

        Args:
            restored: see `forward`.
            clean: see `forward`.
            step: see `forward`.
        """
        return {"": self(restored, clean, step)}
