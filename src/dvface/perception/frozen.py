"""Networks that are used and never trained."""

from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from dvface.errors import UserError


class Frozen(nn.Module):
    """A pretrained network that moves with its owner and is otherwise invisible to it.

    Once `freeze` has run, its tensors are non-persistent buffers: `.to()` moves them, yet they are in no
    owner's `parameters()` (no optimiser trains them) or `state_dict()` (no checkpoint carries them). It stays
    in evaluation mode whatever its owner does. Gradients with respect to its inputs still flow.
    """

    def freeze(self, state: dict[str, Tensor], source: Path) -> None:
        """Load ``state`` strictly, then turn every tensor into a non-persistent buffer.

        Raises:
            UserError: ``state``, read from ``source``, is that of another network.
        """
        try:
            self.load_state_dict(state)
        except RuntimeError as error:
            name = type(self).__name__
            raise UserError(f"weights file {source} does not fit {name}; give that network's file") from error
        for module in self.modules():
            tensors = [*module.named_parameters(recurse=False), *module.named_buffers(recurse=False)]
            for name, tensor in tensors:
                delattr(module, name)
                # a CPU's convolutions are faster with channels last: VGG-16 on a frame of 512 × 512 by 1.45
                layout = torch.channels_last if tensor.ndim == 4 else torch.preserve_format
                module.register_buffer(name, tensor.detach().to(memory_format=layout), persistent=False)
        self.eval()

    def train(self, mode: bool = True) -> Self:
        """Stay in evaluation mode: a parent's ``train()`` must not change what this network says."""
        return super().train(False)
