"""Where parts start that others have trained. A model that was saved needs these files no more."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn

from dvface.errors import UserError
from dvface.models.autoencoders.wan import WanAutoencoder
from dvface.models.backbones.text import StoredText
from dvface.models.backbones.wan import WanBackbone
from dvface.models.restorer import Restorer
from dvface.weights import read_tensors


class PartWeights(ABC):
    """Where one part of a fresh model starts."""

    @abstractmethod
    def check(self, part: nn.Module) -> None:
        """Refuse, before any work, what `load` would refuse; ``part`` may be on the meta device.

        Raises:
            UserError: a file is missing or made for another part.
        """

    @abstractmethod
    def load(self, part: nn.Module) -> None:
        """Fill the part.

        Raises:
            UserError: see `check`.
        """


class NoWeights(PartWeights):
    """At random."""

    def check(self, part: nn.Module) -> None:
        """Nothing to check."""

    def load(self, part: nn.Module) -> None:
        """Nothing to load."""


class WeightsFile(PartWeights):
    """A file in the layout that the part's authors published.

    Args:
        path: safetensors, or PyTorch's format holding tensors only.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def check(self, part: nn.Module) -> None:
        """See the base class."""
        if not hasattr(part, "load_weights"):
            raise UserError(f"{type(part).__name__} has no published weights to load; say none instead of {self.path}")
        if not Path(self.path).is_file():
            raise UserError(f"weights file {self.path} ({type(part).__name__}) does not exist; correct the path")

    def load(self, part: Any) -> None:
        """See the base class."""
        self.check(part)
        part.load_weights(Path(self.path))


class TextFile(PartWeights):
    """The embedding that ``dvface text`` wrote, for a stored text condition.

    Args:
        path: the file.
    """

    def __init__(self, path: str) -> None:
        self.path = path

    def check(self, part: nn.Module) -> None:
        """See the base class."""
        if not isinstance(part, StoredText):
            raise UserError("pretrained/text=file is for a stored text condition; say text=stored")
        if not Path(self.path).is_file():
            raise UserError(f"pretrained.text.path={self.path}: there is no such file; make it with: dvface text")

    def load(self, part: Any) -> None:
        """See the base class."""
        self.check(part)
        embedding = read_tensors(Path(self.path)).get("embedding")
        if embedding is None:
            raise UserError(f"pretrained.text.path={self.path} is no text embedding; make it with: dvface text")
        if embedding.shape != part.embedding.shape:
            raise UserError(
                f"pretrained.text.path={self.path} holds {tuple(embedding.shape)}, text.tokens and text.dim make it "
                f"{tuple(part.embedding.shape)}; make them equal"
            )
        part.embedding.copy_(embedding)


class WanFolder(PartWeights):
    """One network of Wan2.1 in diffusers' layout, safetensors only.

    Args:
        source: a folder that holds ``transformer/`` and ``vae/``, or a name on the hub, which is fetched once
            into the hub's own cache.
    """

    subfolder: str

    def __init__(self, source: str) -> None:
        self.source = source

    @abstractmethod
    def network(self, part: Any) -> Any:
        """diffusers' own network inside the part.

        Raises:
            UserError: the part is not made of it.
        """

    def check(self, part: nn.Module) -> None:
        """See the base class. A hub name is not asked for before it is needed."""
        network = self.network(part)
        folder = Path(self.source)
        if not folder.is_dir():
            if folder.is_absolute() or self.source.startswith((".", "~")) or self.source.count("/") != 1:
                raise UserError(f"Wan2.1 source {self.source}: there is no such folder; {WHERE}")
            return
        config = folder / self.subfolder / "config.json"
        if not config.is_file():
            raise UserError(f"Wan2.1 source {self.source}: it has no {self.subfolder}/config.json; {WHERE}")
        try:
            theirs = json.loads(config.read_text(encoding="utf-8"))
        except json.JSONDecodeError as error:
            raise UserError(f"{config} is damaged ({error}); fetch it again") from error
        self._check_config(network, theirs)

    def load(self, part: nn.Module) -> None:
        """See the base class."""
        self.check(part)
        network = self.network(part)
        try:
            theirs = type(network).from_pretrained(
                self.source, subfolder=self.subfolder, use_safetensors=True, torch_dtype=torch.float32
            )
        except (OSError, SafetensorError, ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0]
            raise UserError(
                f"Wan2.1 source {self.source}: its {self.subfolder} cannot be read ({first}); {WHERE}"
            ) from error
        self._check_config(network, theirs.config)
        network.load_state_dict(with_adapters(theirs.state_dict(), network))

    def _check_config(self, network: Any, theirs: Mapping[str, Any]) -> None:
        for key, ours in network.config.items():
            if not key.startswith("_") and key in theirs and _plain(theirs[key]) != _plain(ours):
                raise UserError(
                    f"Wan2.1 source {self.source}: its {self.subfolder} has {key}={theirs[key]}, this model {ours}; "
                    "make the sizes in the configuration equal"
                )


class WanTransformerFolder(WanFolder):
    """The diffusion transformer."""

    subfolder = "transformer"

    def network(self, part: Any) -> Any:
        """See the base class."""
        if not isinstance(part, WanBackbone):
            raise UserError(f"Wan2.1's transformer does not fit a {type(part).__name__}; say pretrained/backbone=none")
        return part.transformer


class WanAutoencoderFolder(WanFolder):
    """The video VAE."""

    subfolder = "vae"

    def network(self, part: Any) -> Any:
        """See the base class."""
        if not isinstance(part, WanAutoencoder):
            raise UserError(f"Wan2.1's VAE does not fit a {type(part).__name__}; say pretrained/autoencoder=none")
        return part.network


class Pretrained:
    """What each part of a fresh model starts from.

    Args:
        backbone: for the backbone.
        autoencoder: for the autoencoder.
        prior_encoder: for the prior's encoder.
        text: for the backbone's text condition.
    """

    def __init__(
        self, backbone: PartWeights, autoencoder: PartWeights, prior_encoder: PartWeights, text: PartWeights
    ) -> None:
        self.backbone = backbone
        self.autoencoder = autoencoder
        self.prior_encoder = prior_encoder
        self.text = text

    def check(self, model: Restorer) -> None:
        """See `PartWeights.check`."""
        if isinstance(getattr(model.backbone, "text", None), StoredText) and isinstance(self.text, NoWeights):
            raise UserError(
                "text=stored has no embedding yet; say pretrained/text=file pretrained.text.path=FILE "
                "(dvface text makes it), or text=learned"
            )
        for weights, part in self._pairs(model):
            weights.check(part)

    def load(self, model: Restorer) -> None:
        """See `PartWeights.load`."""
        for weights, part in self._pairs(model):
            weights.load(part)

    def _pairs(self, model: Restorer) -> list[tuple[PartWeights, nn.Module]]:
        return [
            (self.backbone, model.backbone),
            (self.autoencoder, model.autoencoder),
            (self.prior_encoder, model.prior.encoder),
            (self.text, getattr(model.backbone, "text", nn.Identity())),
        ]


WHERE = (
    "name the folder of a download of Wan-AI/Wan2.1-T2V-1.3B-Diffusers (with transformer/ and vae/), "
    "or that hub name with a network at hand"
)


def with_adapters(state: Mapping[str, Tensor], network: nn.Module) -> dict[str, Tensor]:
    """``state`` under the names that ``network`` has once LoRA wrapped some layers; the adapters' own are kept."""
    own = network.state_dict()
    renamed = {}
    for name, value in state.items():
        layer, _, leaf = name.rpartition(".")
        wrapped = f"{layer}.base_layer.{leaf}"
        renamed[wrapped if wrapped in own else name] = value
    return {**{name: value for name, value in own.items() if "lora_" in name}, **renamed}


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
