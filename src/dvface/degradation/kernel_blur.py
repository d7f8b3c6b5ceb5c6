"""Blur with a kernel of a random family, as Real-ESRGAN (Wang et al. 2021) and DOVE have it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from dvface.degradation.blur import draw_axes
from dvface.degradation.convolve import convolve
from dvface.degradation.kernels import (
    Kernel,
    gaussian_kernel,
    generalized_gaussian_kernel,
    plateau_kernel,
    sinc_kernel,
)
from dvface.degradation.lens import checked_kernel_sizes, checked_omega, draw_kernel_size
from dvface.degradation.operator import (
    Clip,
    Parameters,
    checked_probabilities,
    checked_range,
    draw_name,
    shares,
    span,
)

KERNELS: Mapping[str, Callable[..., Kernel]] = {
    "gaussian": gaussian_kernel,
    "generalized": generalized_gaussian_kernel,
    "plateau": plateau_kernel,
    "sinc": sinc_kernel,
}
KINDS = {
    "iso": ("gaussian", False),
    "aniso": ("gaussian", True),
    "generalized_iso": ("generalized", False),
    "generalized_aniso": ("generalized", True),
    "plateau_iso": ("plateau", False),
    "plateau_aniso": ("plateau", True),
    "sinc": ("sinc", False),
}
"""Family of the kernel, and whether its axes differ."""

WIDE = 13
"""Sinc kernels of this many pixels and more have their own range of cut-offs (Real-ESRGAN)."""


class KernelBlur:
    """Blurs every frame with the same kernel; its family, size and numbers are drawn once a clip.

    Args:
        kernel_sizes: range of the kernel's side, odd numbers of pixels.
        probabilities: of ``iso``, ``aniso``, ``generalized_iso``, ``generalized_aniso``, ``plateau_iso``,
            ``plateau_aniso`` and ``sinc``; they sum to one, a kind left out never comes.
        sigma: range of the standard deviations, pixels.
        beta_gaussian: range around 1 of the generalised Gaussian's shape; half of the draws lie below 1.
        beta_plateau: the same for the plateau's shape.
        omega: range of the cut-off of sinc kernels below 13 pixels, radians a pixel.
        omega_wide: the same for larger ones.
    """

    def __init__(
        self,
        kernel_sizes: Sequence[int],
        probabilities: Mapping[str, float],
        sigma: Sequence[float],
        beta_gaussian: Sequence[float],
        beta_plateau: Sequence[float],
        omega: Sequence[float],
        omega_wide: Sequence[float],
    ) -> None:
        self.kernel_sizes = checked_kernel_sizes(kernel_sizes)
        self.probabilities = checked_probabilities("probabilities", probabilities, KINDS)
        self.sigma = checked_range("sigma", sigma, 0.01, 1000)
        self.betas = {
            "generalized": _checked_beta("beta_gaussian", beta_gaussian),
            "plateau": _checked_beta("beta_plateau", beta_plateau),
        }
        self.omega = checked_omega("omega", omega)
        self.omega_wide = checked_omega("omega_wide", omega_wide)

    def draw(self, rng: np.random.Generator, shape: Sequence[int]) -> Parameters:
        """The kind, the family and size, and the family's numbers."""
        kind = draw_name(rng, self.probabilities)
        chosen = {"kind": kind, "family": KINDS[kind][0], "size": draw_kernel_size(rng, self.kernel_sizes)}
        return {**chosen, **self.redraw(rng, chosen)}

    def redraw(self, rng: np.random.Generator, parameters: Mapping[str, Any]) -> Parameters:
        """Other numbers of the same family and size."""
        family, stretched = KINDS[parameters["kind"]]
        if family == "sinc":
            return {"omega": rng.uniform(*(self.omega if parameters["size"] < WIDE else self.omega_wide))}
        numbers = draw_axes(rng, self.sigma, stretched)
        if family in self.betas:
            low, high = self.betas[family]
            numbers["beta"] = rng.uniform(low, 1) if rng.random() < 0.5 else rng.uniform(1, high)
        return numbers

    def apply(self, clip: Clip, parameters: Mapping[str, Any]) -> Clip:
        """The blurred clip; borders are mirrored."""
        numbers = {key: value for key, value in parameters.items() if key not in ("kind", "family")}
        return convolve(clip, KERNELS[parameters["family"]](**numbers))

    def describe(self) -> str:
        """A few words with the numbers."""
        return (
            f"blur by kernels of {span(self.kernel_sizes)} px ({shares(self.probabilities)}; σ {span(self.sigma)} px, "
            f"generalized β {span(self.betas['generalized'])}, plateau β {span(self.betas['plateau'])}, "
            f"sinc ω {span(self.omega)}, from {WIDE} px {span(self.omega_wide)})"
        )


def _checked_beta(name: str, values: Sequence[float]) -> tuple[float, float]:
    low, high = checked_range(name, values, 0.05, 20)
    if not low <= 1 <= high:
        raise ValueError(f"{name} must be [low, high] with low <= 1 <= high, got {values}")
    return low, high
