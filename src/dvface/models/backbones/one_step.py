"""How one evaluation of a network turns degraded latents into restored ones."""

from abc import ABC, abstractmethod

from torch import Tensor, nn


class OneStep(nn.Module, ABC):
    """A rule ẑ = rule(z, output) at one fixed timestep.

    Args:
        timestep: t in 0…1000, by which a diffusion transformer is conditioned.

    Raises:
        ValueError: the timestep is outside its range.
    """

    def __init__(self, timestep: float) -> None:
        super().__init__()
        if not 0 <= timestep <= 1000:
            raise ValueError(f"timestep must be within 0…1000, got {timestep}")
        self.timestep = timestep

    @abstractmethod
    def forward(self, latents: Tensor, output: Tensor) -> Tensor:
        """Degraded latents and the network's output, (B, C, T', h, w) each, to restored latents."""


class Velocity(OneStep):
    """ẑ = z - v: a unit step against the velocity.

    VividFace's rule (arXiv 2509.23584), with t = 400, on the same backbone; the default.
    """

    def forward(self, latents: Tensor, output: Tensor) -> Tensor:
        """See the base class."""
        return latents - output


class Flow(OneStep):
    """ẑ = z - σ·v with σ = t/1000: the step that flow matching itself would take from t to 0."""

    def forward(self, latents: Tensor, output: Tensor) -> Tensor:
        """See the base class."""
        return latents - self.timestep / 1000 * output


class Residual(OneStep):
    """ẑ = z + r: the network gives the correction, as restoration networks do; for training from scratch."""

    def forward(self, latents: Tensor, output: Tensor) -> Tensor:
        """See the base class."""
        return latents + output
