"""From a clip to the features of a network that timm offers."""

from pathlib import Path
from typing import Any

import timm
from einops import rearrange
from timm.models import load_state_dict
from torch import Tensor, nn

from dvface.contracts import LatentLayout, Views
from dvface.errors import UserError, nearest
from dvface.models.priors.encoder import PriorEncoder

FEATURES: dict[str, Any] = {"features_only": True, "feature_cls": "getter"}
"""How timm gives features; of its ways this one drops the layers beyond the wanted stage for every family."""


class TimmEncoder(PriorEncoder):
    """A convolutional network for pictures, frame by frame, cut off where it has the wanted stride.

    Statistics of batch normalisation stay what they are (those of `load_weights`, or mean 0 and variance 1), in
    training too: batches here are a few clips of alike frames, clean clips and degraded ones must be measured by
    the same rule, and a clip's features must not depend on its neighbours. Its scales and shifts learn.

    Args:
        name: of a network in timm that takes frames of any size.
        reduction: pixels that one feature stands for; 8 is the Wan VAE's.
        dim: channels C of the output, which a 1×1 convolution gives.
        layout: of the latents, which this encoder does not read.

    Raises:
        ValueError: timm has no such network, it takes one frame size only, or has no features of that reduction.
    """

    network: Any  # timm types its feature networks loosely

    def __init__(self, name: str, reduction: int, dim: int, layout: LatentLayout) -> None:
        super().__init__()
        if not timm.is_model(name):
            raise ValueError(f"timm has no network name={name}{nearest(name, timm.list_models())}")
        weights = timm.get_pretrained_cfg(name, allow_unregistered=True)
        if weights is not None and weights.fixed_input_size:
            raise ValueError(
                f"name={name} takes one frame size only; name a convolutional network such as convnext_atto"
            )
        try:
            every: Any = timm.create_model(name, **FEATURES)
            offered = every.feature_info.reduction()
        except (RuntimeError, AttributeError) as error:
            raise ValueError(f"name={name} gives no features of its stages ({error}); name another network") from error
        if reduction not in offered:
            raise ValueError(f"reduction={reduction} is not among those of {name}: {sorted(set(offered))}")
        self.name = name
        self.spatial_stride = reduction
        self.stage = len(offered) - 1 - offered[::-1].index(reduction)
        self.network = timm.create_model(name, out_indices=(self.stage,), **FEATURES)
        self.output = nn.Conv2d(self.network.feature_info.channels()[-1], dim, 1)
        self.mean = weights.mean if weights is not None else timm.data.IMAGENET_DEFAULT_MEAN
        self.deviation = weights.std if weights is not None else timm.data.IMAGENET_DEFAULT_STD
        self.train()

    def train(self, mode: bool = True) -> "TimmEncoder":
        """Batch normalisation keeps its statistics whatever the mode."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, views: Views) -> Tensor:
        """Pixels to (B, T, H/stride, W/stride, C), normalised as the network expects them."""
        frames = rearrange(views.video, "b c t h w -> (b t) c h w")
        mean, deviation = (frames.new_tensor(values).view(1, 3, 1, 1) for values in (self.mean, self.deviation))
        features = self.output(self.network(((frames + 1) / 2 - mean) / deviation)[-1])
        return rearrange(features, "(b t) c h w -> b t h w c", b=len(views.video))

    def load_weights(self, path: str | Path) -> None:
        """Fill the network from a file of timm's whole network of that name; the 1×1 convolution stays as it is.

        Args:
            path: safetensors, or what ``torch.save`` wrote of plain tensors.

        Raises:
            UserError: the file is missing, unreadable, or made for another network.
        """
        if not Path(path).is_file():
            raise UserError(f"{path} does not exist; name a file with timm's weights of {self.name}")
        try:
            state = load_state_dict(str(path), weights_only=True)
            if not state:
                raise ValueError("it is empty")
            # timm loads features alone leniently, so the whole network says first whether everything fits.
            parts: tuple[dict[str, Any], ...] = ({}, {"out_indices": (self.stage,), **FEATURES})
            for settings in parts:
                loaded = timm.create_model(
                    self.name, pretrained=True, pretrained_cfg_overlay={"state_dict": dict(state)}, **settings
                )
        except Exception as error:  # a damaged file fails in as many ways as there are formats
            first = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise UserError(f"{path} holds no weights of timm's {self.name} ({first}); name another file") from error
        self.network.load_state_dict(loaded.state_dict())
