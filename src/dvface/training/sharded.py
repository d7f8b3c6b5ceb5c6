"""Training with the model in pieces over several processes."""

from contextlib import AbstractContextManager
from typing import Any

import torch
from lightning.pytorch.strategies import FSDPStrategy
from torch import Tensor, nn
from torch.distributed.fsdp import FullStateDictConfig, StateDictType
from torch.distributed.fsdp import FullyShardedDataParallel as Sharded
from torch.distributed.fsdp.wrap import ModuleWrapPolicy

from dvface.config.schema import TrainerSettings
from dvface.models.restorer import Restorer


class ShardedStrategy(FSDPStrategy):
    """Fully sharded data parallelism: weights, gradients and optimiser lie in pieces, a backbone block at a time.

    Args:
        blocks: the classes of which every instance is gathered and freed on its own.
        half: compute in bfloat16 by autocast, which leaves weights, codebooks and the encoder in float32.
    """

    def __init__(self, blocks: set[type[nn.Module]], half: bool) -> None:
        super().__init__(
            auto_wrap_policy=ModuleWrapPolicy(blocks),
            state_dict_type="full",
            use_orig_params=True,  # frozen and trained weights may share a piece
        )
        self.half = half

    def autocast(self) -> AbstractContextManager[Any]:
        """The precision of one step."""
        return torch.autocast(self.root_device.type, torch.bfloat16, enabled=self.half)

    def clip_gradients(self, limit: float) -> Tensor:
        """Scale all gradients so that their norm over all pieces is at most ``limit``; returns the norm before."""
        assert isinstance(self.model, Sharded)
        return self.model.clip_grad_norm_(limit)


def full_state(strategy: Any) -> dict[str, Tensor]:
    """The stage's whole state on the first process, on the CPU, however the strategy keeps it."""
    model = strategy.model
    if isinstance(model, Sharded):
        with Sharded.state_dict_type(
            model, StateDictType.FULL_STATE_DICT, FullStateDictConfig(offload_to_cpu=True, rank0_only=True)
        ):
            return dict(model.state_dict())
    return dict(strategy.lightning_module_state_dict())


def strategy(options: TrainerSettings, model: Restorer) -> str | ShardedStrategy:
    """How the processes of a run share the work."""
    if options.strategy != "fsdp":
        return options.strategy
    return ShardedStrategy({type(block) for block in model.backbone.blocks}, half=options.precision == "bf16-mixed")
