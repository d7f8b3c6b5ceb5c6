"""What every injection offers; a fusion is made of two, one for each side of the prior."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from dvface.contracts import Grid, PriorFeatures, PriorSide


class Injection(nn.Module, ABC):
    """Brings one side of the prior into the backbone's tokens; exactly the identity at initialisation."""

    @abstractmethod
    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """Inject ``side`` into ``tokens``.

        Args:
            tokens: (B, T'·H'·W', D), the backbone's.
            side: the side to inject, on the same latent frames as ``grid``; its h × w may differ.
            prior: both sides, for injections that ask one side about the other.
            grid: where the tokens stand.

        Returns:
            (B, T'·H'·W', D).

        Raises:
            ValueError: the side is empty.
        """


class NoInjection(Injection):
    """Leaves the side out."""

    def forward(self, tokens: Tensor, side: PriorSide, prior: PriorFeatures, grid: Grid) -> Tensor:
        """The tokens, untouched."""
        return tokens


def check_not_empty(side: PriorSide, injection: str) -> None:
    """Refuse to inject a side that an ablation took away.

    Raises:
        ValueError: the side is empty.
    """
    if side.channels == 0:
        raise ValueError(f"the prior has no such side for the {injection} to inject; choose none for it in the fusion")
