"""Networks that score how clean frames look."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import timm
import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn
from torch.nn import functional

from dvface.errors import UserError, nearest
from dvface.perception.frozen import Frozen
from dvface.weights import read_tensors
from dvface.weights.catalogue import timm_backbone


class Discriminator(nn.Module, ABC):
    """Scores frames, high for clean ones."""

    @abstractmethod
    def forward(self, frames: Tensor) -> list[Tensor]:
        """(N, 3, H, W) RGB, around [-1, 1] -> score maps (N, 1, h, w) without bounds, one for each head."""


class TimmDiscriminator(Discriminator):
    """Heads of 1 × 1 convolutions at several depths of any timm backbone.

    BFVR-STC's discriminator is of this kind: a frozen DINOv2 ViT-S at 224² pixels with three linear heads.
    Frames become ImageNet-normalised first.

    Args:
        name: the backbone's in timm, such as "convnext_atto" or "vit_small_patch14_dinov2".
        depths: which of the backbone's feature maps get a head; timm's ``out_indices``.
        resolution: frames are resized to this square; None leaves them as they are, which backbones of a fixed
            size (vision transformers) do not take.
        frozen: only the heads learn; the backbone is in no optimiser and no checkpoint.
        weights: the backbone's state dict as timm publishes it, with or without its classifier. None: where
            ``frozen``, ``timm/NAME.pth`` in the weights folder; otherwise the backbone starts from nothing.

    Raises:
        ValueError: timm has no such backbone, ``depths`` is empty or too deep for it, it needs a ``resolution``, or
            it learns and has batch normalisation, whose statistics a few frames cannot give.
        UserError: ``weights`` does not exist or is not this backbone's.
        WeightsMissing: the file of a frozen backbone cannot be had.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self,
        name: str,
        depths: Sequence[int],
        resolution: int | None,
        frozen: bool,
        weights: str | Path | None = None,
    ) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(f"name={name!r} is no model of timm{nearest(name, timm.list_models())}")
        if not depths:
            raise ValueError("depths is empty; name at least one feature map of the backbone")
        path = timm_backbone(name).find(weights) if frozen or weights is not None else None
        backbone = _backbone(name, depths, resolution, path)
        if not frozen and any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules()):
            raise ValueError(
                f"name={name!r} has batch normalisation, which cannot learn from a few frames; take a backbone "
                "without, such as 'convnext_atto', or frozen=true"
            )
        self.resolution = resolution
        self.heads = nn.ModuleList(nn.Conv2d(width, 1, kernel_size=1) for width in backbone.feature_info.channels())
        self.backbone = _FrozenBackbone(backbone, path) if frozen and path else backbone
        for buffer, values in (("mean", IMAGENET_DEFAULT_MEAN), ("deviation", IMAGENET_DEFAULT_STD)):
            self.register_buffer(buffer, torch.tensor(values).view(1, 3, 1, 1), persistent=False)

    def forward(self, frames: Tensor) -> list[Tensor]:
        """See the base class; h × w is each depth's own."""
        if self.resolution is not None:
            size = (self.resolution, self.resolution)
            frames = functional.interpolate(frames.float(), size, mode="bilinear", antialias=True)
        features = self.backbone(((frames + 1) / 2 - self.mean) / self.deviation)
        return [head(feature) for head, feature in zip(self.heads, features, strict=True)]


class _FrozenBackbone(Frozen):
    """A backbone whose pretrained tensors never change."""

    def __init__(self, backbone: nn.Module, source: Path) -> None:
        super().__init__()
        self.network = backbone
        self.freeze(self.state_dict(), source)

    def forward(self, frames: Tensor) -> list[Tensor]:
        features: list[Tensor] = self.network(frames)
        return features


def _backbone(name: str, depths: Sequence[int], resolution: int | None, path: Path | None) -> Any:
    """timm's feature extractor, from nothing or with the tensors of ``path``, every one of which must fit."""
    published = timm.get_pretrained_cfg(name, allow_unregistered=True)
    fixed_size = published is not None and published.fixed_input_size
    if fixed_size and resolution is None:
        raise ValueError(f"resolution must be given for name={name!r}, whose frames have a fixed size")
    arguments: dict[str, Any] = {"img_size": resolution} if fixed_size else {}
    if path is not None:
        heads = published.classifier if published is not None else None
        prefixes = tuple(f"{head}." for head in ([heads] if isinstance(heads, str) else heads or ()))
        state = {key: value for key, value in read_tensors(path).items() if not (prefixes and key.startswith(prefixes))}
        # without classes timm takes nothing from the file away, and then it loads strictly
        arguments |= {"pretrained": True, "pretrained_cfg_overlay": {"state_dict": state, "num_classes": 0}}
    try:
        return timm.create_model(name, features_only=True, out_indices=list(depths), **arguments)
    except (IndexError, AssertionError) as error:
        raise ValueError(f"depths={list(depths)} go beyond the feature maps of name={name!r}: {error}") from error
    except RuntimeError as error:
        if path is None:
            raise
        raise UserError(f"weights file {path} does not fit timm's {name}; give that network's file") from error
