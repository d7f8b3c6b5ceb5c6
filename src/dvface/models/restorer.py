"""The whole DVFace: from degraded pixels to restored pixels."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from math import lcm
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from dvface.config.build import build
from dvface.contracts import Views, latent_frames
from dvface.errors import UserError
from dvface.files import whole_file, write_json
from dvface.models.autoencoders.base import VideoAutoencoder
from dvface.models.backbones.base import Backbone
from dvface.models.codebooks.base import full_precision
from dvface.models.model_folder import CONFIG_FILE, WEIGHTS_FILE
from dvface.models.priors.prior import Prior
from dvface.models.refinement import Refinement
from dvface.version import __version__


class Restorer(nn.Module):
    """Autoencoder, prior, backbone and refinement as one network (the paper's Figure 2a).

    Args:
        autoencoder: pixels to latents and back.
        prior: makes the spatio-temporal prior for these latents.
        backbone: makes the network that turns degraded latents into restored ones.
        refinement: the last touch on decoded frames.
    """

    def __init__(
        self,
        autoencoder: VideoAutoencoder,
        prior: Callable[..., Prior],
        backbone: Callable[..., Backbone],
        refinement: Refinement,
    ) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.prior = prior(layout=autoencoder.layout)
        self.backbone = backbone(layout=autoencoder.layout)
        self.refinement = refinement

    @property
    def spatial_multiple(self) -> int:
        """Height and width must be multiples of this, in pixels."""
        return lcm(
            self.autoencoder.spatial_stride * self.backbone.spatial_multiple,
            self.prior.encoder.spatial_stride,
            self.refinement.spatial_multiple,
        )

    @property
    def temporal_stride(self) -> int:
        """Clips must have ``temporal_stride``·k+1 frames."""
        return self.autoencoder.temporal_stride

    def encode(self, video: Tensor) -> Tensor:
        """(B, 3, T, H, W) to latents in float32 whatever the precision around it: bfloat16 shifts Wan's latents."""
        with full_precision(video):
            return self.autoencoder.encode(video.float())

    def views(self, video: Tensor) -> Views:
        """(B, 3, T, H, W) as the prior and the backbone may read it.

        Raises:
            ValueError: T is not ``temporal_stride``·k+1, or H or W no multiple of the autoencoder's stride.
        """
        return Views(video, self.encode, latent_frames(video.shape[2], self.temporal_stride))

    def restore_latents(self, degraded: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] to restored latents."""
        views = self.views(degraded)
        return self.backbone(views.latents, self.prior(views))

    def forward(self, degraded: Tensor) -> Tensor:
        """(B, 3, T, H, W) in [-1, 1] to the same shape; not clamped, so that losses see overshoot.

        Raises:
            ValueError: see `views`.
        """
        return self.refinement(self.autoencoder.decode(self.restore_latents(degraded)), degraded)

    def parameter_counts(self) -> dict[str, int]:
        """Parameters by part, of the fusion apart from the rest of the backbone, and ``total``."""
        counts = {
            name: sum(parameter.numel() for parameter in part.parameters()) for name, part in self.named_children()
        }
        counts["fusion"] = sum(parameter.numel() for parameter in self.backbone.fusions.parameters())
        counts["backbone"] -= counts["fusion"]
        return {**counts, "total": sum(counts.values())}

    def save_pretrained(self, folder: str | Path, specification: Mapping[str, Any]) -> None:
        """Write ``config.json`` and ``model.safetensors``, which `from_pretrained` reopens anywhere.

        Args:
            folder: made if needed.
            specification: the nested ``_target_`` tree that builds this model, plain types only.
        """
        folder = Path(folder)
        with whole_file(folder / WEIGHTS_FILE) as temporary:
            save_file({name: value.contiguous() for name, value in self.state_dict().items()}, temporary)
        write_json(folder / CONFIG_FILE, {"dvface": __version__, "model": dict(specification)})

    @classmethod
    def from_pretrained(cls, folder: str | Path) -> Restorer:
        """Reopen a folder that `save_pretrained` wrote.

        Raises:
            UserError: a file is missing or unreadable, or the weights do not fit the configuration.
        """
        folder = Path(folder)
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            if not (folder / name).is_file():
                raise UserError(f"{folder} is no model folder: it has no {name}; name a folder that training wrote")
        try:
            specification = json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8"))["model"]
            model = build_model(specification)
            model.load_state_dict(load_file(folder / WEIGHTS_FILE))
        except (KeyError, TypeError, json.JSONDecodeError) as error:
            raise UserError(
                f"{folder / CONFIG_FILE} is no model description ({error}); export the model again"
            ) from error
        except (SafetensorError, RuntimeError) as error:
            first_line = str(error).splitlines()[0]
            raise UserError(f"{folder / WEIGHTS_FILE} does not fit its {CONFIG_FILE}: {first_line}") from error
        return model.eval()


def build_model(specification: Mapping[str, Any]) -> Restorer:
    """The restorer that a description from anywhere builds: networks of this package and nothing else.

    Raises:
        UserError: it describes anything else, or its parts do not fit each other.
    """
    if not isinstance(specification, Mapping) or not str(specification.get("_target_", "")).endswith(".Restorer"):
        raise UserError("the model description describes no Restorer; export the model again")
    model = build(specification, allowed="dvface.models.", base=nn.Module)
    if not isinstance(model, Restorer):
        raise UserError(f"the model description describes a {type(model).__name__}, not a Restorer")
    return model


def best_device() -> torch.device:
    """The GPU where there is one, else the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
