"""Where parts start that others have trained."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn

from dvface.errors import UserError
from dvface.models.autoencoders.wan import WanAutoencoder
from dvface.models.backbones.text import StoredText
from dvface.models.backbones.wan import WanBackbone
from dvface.models.restorer import Restorer


class Pretrained(ABC):
    """Weights that a fresh model starts from; a model that was saved needs them no more."""

    @abstractmethod
    def check(self, model: Restorer) -> None:
        """Refuse, before any work, what `load` would refuse; ``model`` may be on the meta device.

        Raises:
            UserError: a file is missing or made for another model.
        """

    @abstractmethod
    def load(self, model: Restorer) -> None:
        """Fill the model's parts.

        Raises:
            UserError: see `check`.
        """


class NoPretrained(Pretrained):
    """Every part starts at random."""

    def check(self, model: Restorer) -> None:
        """Nothing to check."""

    def load(self, model: Restorer) -> None:
        """Nothing to load."""


class WanPretrained(Pretrained):
    """Wan2.1 in diffusers' layout: transformer and VAE, safetensors only.

    Args:
        source: a folder that holds ``transformer/`` and ``vae/``, or a name on the hub, fetched once into the
            hub's own cache.
        text: the file that ``dvface text`` wrote, for a stored text condition; None leaves that at zero.
    """

    def __init__(self, source: str, text: str | None = None) -> None:
        self.source = source
        self.text = text

    def check(self, model: Restorer) -> None:
        """See the base class. A hub name is not asked for before it is needed."""
        self._check_parts(model)
        if self.text is not None and not Path(self.text).is_file():
            raise UserError(f"pretrained.text={self.text}: there is no such file; make it with: dvface text")
        folder = Path(self.source)
        if not folder.is_dir():
            if folder.is_absolute() or self.source.startswith((".", "~")) or self.source.count("/") != 1:
                raise UserError(f"pretrained.source={self.source}: there is no such folder; {WHERE}")
            return
        for part, network in self._networks(model).items():
            config = folder / part / "config.json"
            if not config.is_file():
                raise UserError(f"pretrained.source={self.source}: it has no {part}/config.json; {WHERE}")
            try:
                theirs = json.loads(config.read_text(encoding="utf-8"))
            except json.JSONDecodeError as error:
                raise UserError(f"{config} is damaged ({error}); fetch it again") from error
            self._check_config(part, network, theirs)

    def load(self, model: Restorer) -> None:
        """See the base class."""
        self.check(model)
        for part, network in self._networks(model).items():
            fresh = type(network)
            try:
                theirs = fresh.from_pretrained(
                    self.source, subfolder=part, use_safetensors=True, torch_dtype=torch.float32
                )
            except (OSError, SafetensorError, ValueError, RuntimeError) as error:
                first = str(error).strip().splitlines()[0]
                raise UserError(f"pretrained.source={self.source}: {part} cannot be read ({first}); {WHERE}") from error
            self._check_config(part, network, dict(theirs.config))
            network.load_state_dict(with_adapters(theirs.state_dict(), network))
        if self.text is not None:
            self._load_text(model, Path(self.text))

    def _networks(self, model: Restorer) -> dict[str, Any]:
        """diffusers' own networks inside the model, by their folder's name."""
        self._check_parts(model)
        return {"transformer": model.backbone.transformer, "vae": model.autoencoder.network}

    def _check_parts(self, model: Restorer) -> None:
        for name, part, needed in (
            ("backbone", model.backbone, WanBackbone),
            ("autoencoder", model.autoencoder, WanAutoencoder),
        ):
            if not isinstance(part, needed):
                raise UserError(
                    f"pretrained weights of Wan2.1 do not fit {name}={type(part).__name__}; "
                    f"choose a {needed.__name__} or say pretrained=none"
                )
        if self.text is not None and not isinstance(model.backbone.text, StoredText):
            raise UserError("pretrained.text is for a stored text condition; say text=stored")

    def _check_config(self, part: str, network: Any, theirs: Mapping[str, Any]) -> None:
        for key, ours in network.config.items():
            if key.startswith("_") or key not in theirs:
                continue
            if _plain(theirs[key]) != _plain(ours):
                raise UserError(
                    f"pretrained.source={self.source}: its {part} has {key}={theirs[key]}, this model {ours}; "
                    "make the sizes in the configuration equal"
                )

    def _load_text(self, model: Restorer, path: Path) -> None:
        try:
            embedding = load_file(path)["embedding"]
        except (SafetensorError, KeyError) as error:
            raise UserError(f"pretrained.text={path} is no text embedding; make it with: dvface text") from error
        stored: Tensor = model.backbone.text.embedding
        if embedding.shape != stored.shape:
            raise UserError(
                f"pretrained.text={path} is {tuple(embedding.shape)}, text.tokens and text.dim make it "
                f"{tuple(stored.shape)}; make them equal"
            )
        stored.copy_(embedding)


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
