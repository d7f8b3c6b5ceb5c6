"""What a model is made of: parameters and floating-point operations by part, without a single weight in memory."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from dvface.models.restorer import Restorer

Result = TypeVar("Result")


@dataclass(frozen=True)
class Summary:
    """A model's size and cost.

    Attributes:
        parameters: by part; the fusion stands apart from the backbone, encoder and codebooks from the prior. What
            follows by moving averages and is never trained by gradient is no parameter.
        flops: of restoring one clip, by part and step; two for each multiply-add.
    """

    parameters: dict[str, int]
    flops: dict[str, int]

    @property
    def total_parameters(self) -> int:
        """Of the whole model."""
        return sum(self.parameters.values())

    @property
    def added_parameters(self) -> int:
        """Of what DVFace adds to a backbone and its autoencoder: prior, fusion, refinement."""
        return self.total_parameters - self.parameters["autoencoder"] - self.parameters["backbone"]

    @property
    def total_flops(self) -> int:
        """Of restoring the clip."""
        return sum(self.flops.values())


def summarise(model: Restorer, frames: int, height: int, width: int) -> Summary:
    """Size and cost of a model that stands on the meta device, for one clip of T × H × W.

    Raises:
        ValueError: the model does not take clips of that shape.
    """
    if height % model.spatial_multiple or width % model.spatial_multiple:
        raise ValueError(f"{height}×{width} pixels are no multiple of {model.spatial_multiple}, which this model needs")
    video = torch.zeros(1, 3, frames, height, width, device="meta")
    model.eval().requires_grad_(False)  # the counter would hook into gradients
    with torch.inference_mode():
        views = model.views(video)
        _, encode = _counted(lambda: views.latents)
        _, encoder = _counted(lambda: model.prior.encoder(views))
        prior, whole_prior = _counted(lambda: model.prior(views))
        latents, backbone = _counted(lambda: model.backbone(views.latents, prior))
        decoded, decode = _counted(lambda: model.autoencoder.decode(latents))
        _, refine = _counted(lambda: model.refinement(decoded, video))
    fused = set(model.backbone.fusions)
    root = type(model.backbone).__name__
    fusion = sum(backbone.get(f"{root}.{name}", 0) for name, part in model.backbone.named_modules() if part in fused)
    flops = {
        "autoencoder.encode": encode["Global"],
        "autoencoder.decode": decode["Global"],
        "prior.encoder": encoder["Global"],
        "prior.branches": whole_prior["Global"] - encoder["Global"],
        "backbone": backbone["Global"] - fusion,
        "fusion": fusion,
        "refinement": refine["Global"],
    }
    counts = model.parameter_counts()
    inner = {
        "prior.encoder": _count(model.prior.encoder),
        "prior.codebooks": sum(_count(codebook) for codebook in model.prior.codebooks),
    }
    parameters = {
        "autoencoder": counts["autoencoder"],
        **inner,
        "prior.branches": counts["prior"] - sum(inner.values()),
        "backbone": counts["backbone"],
        "fusion": counts["fusion"],
        "refinement": counts["refinement"],
    }
    return Summary(parameters, flops)


def _counted(work: Callable[[], Result]) -> tuple[Result, dict[str, int]]:
    """What ``work`` gives, and the operations of every module that it ran, with ``Global`` for all."""
    with FlopCounterMode(display=False) as counter:
        result = work()
    counts = {name: sum(operations.values()) for name, operations in counter.get_flop_counts().items()}
    return result, {"Global": 0, **counts}


def _count(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())
