"""Training with the model in pieces over several processes."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.core.optimizer import LightningOptimizer
from lightning.pytorch.strategies import ModelParallelStrategy, Strategy
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor, distributed, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from torch.optim import Optimizer

from dvface.config.schema import TrainerSettings
from dvface.models.restorer import Restorer


class ShardedStrategy(ModelParallelStrategy):
    """Fully sharded data parallelism (PyTorch's ``fully_shard``): backbone and refinement lie in pieces.

    Each process keeps a piece of each of their weights, with its gradient and optimiser state. A block is whole
    while it computes and no longer. Everything else, such as the prior, the autoencoder and a stage's own networks,
    stays whole on every process, and its gradients are averaged: those parts are small, are called by methods
    other than ``forward``, and codebooks write into their own entries, which a gathered copy would forget.

    Checkpoints are those of an unsharded run: one file, whole tensors. Either kind of run resumes from either.

    Args:
        model: the restorer that is trained.
    """

    def __init__(self, model: Restorer) -> None:
        super().__init__(tensor_parallel_size=1, save_distributed_checkpoint=False)
        # A backbone comes after its blocks: what they hold already is not its own any more.
        self.parts = (*model.backbone.blocks, *model.backbone.fusions, model.backbone, model.refinement)

    @property
    def lightning_restore_optimizer(self) -> bool:
        """Lightning hands an optimiser's state to `load_optimizer_state_dict`."""
        return True

    def setup_environment(self) -> None:
        """Meet the other processes; all of them share the data."""
        self._data_parallel_size = self.num_nodes * self.num_processes
        super().setup_environment()

    def setup(self, trainer: Trainer) -> None:
        """Cut the model into pieces and make the optimiser of them; processes start from the first one's weights."""
        assert self.accelerator is not None
        assert self.model is not None
        self.accelerator.setup(trainer)
        mesh = init_device_mesh(self.root_device.type, (self.world_size,))
        for part in self.parts:
            # Pieces again also after the outermost forward: validation has no backward pass that would do it.
            fully_shard(part, mesh=mesh, reshard_after_forward=True)
        self.model_to_device()
        for tensor in (*self.model.parameters(), *self.model.buffers()):
            if not isinstance(tensor, DTensor):
                first = tensor.detach().contiguous()
                distributed.broadcast(first, src=0)
                tensor.detach().copy_(first)
        if trainer.state.fn == TrainerFn.FITTING:
            self.setup_optimizers(trainer)
        self.setup_precision_plugin()

    def setup_optimizers(self, trainer: Trainer) -> None:
        """See the base class."""
        super().setup_optimizers(trainer)
        for optimizer in self.optimizers:
            _step_singly_where_mixed(optimizer)

    def post_backward(self, closure_loss: Tensor) -> None:
        """Average the gradients of what is whole; pieces are averaged where they are made.

        While batches accumulate, an average of earlier batches is the same everywhere and stays what it is.
        """
        assert self.model is not None
        gradients = []
        for parameter in self.model.parameters():
            if parameter.requires_grad and not isinstance(parameter, DTensor):
                if parameter.grad is None:  # perhaps here only, and the others wait for it
                    parameter.grad = torch.zeros_like(parameter)
                gradients.append(parameter.grad)
        for gradient in gradients:
            gradient.div_(self.world_size)
        for work in [distributed.all_reduce(gradient, async_op=True) for gradient in gradients]:
            work.wait()

    def lightning_module_state_dict(self) -> dict[str, Any]:
        """The stage's whole state, on the CPU of the first process; every process must ask."""
        assert self.lightning_module is not None
        return self._gathered(self.lightning_module.state_dict())

    def optimizer_state(self, optimizer: Optimizer | LightningOptimizer) -> dict[str, Any]:
        """The optimiser's whole state, on the CPU of the first process; every process must ask."""
        state = optimizer.state_dict()
        return {**state, "state": {number: self._gathered(entry) for number, entry in state["state"].items()}}

    def load_checkpoint(self, checkpoint_path: str | Path, weights_only: bool | None = True) -> dict[str, Any]:
        """A checkpoint mapped rather than read: a process needs its pieces only. Plain types and tensors only."""
        checkpoint: dict[str, Any] = torch.load(checkpoint_path, map_location="cpu", mmap=True, weights_only=True)
        return checkpoint

    def load_model_state_dict(self, checkpoint: Mapping[str, Any], strict: bool = True) -> None:
        """Take this process's pieces of a whole state."""
        assert self.lightning_module is not None
        own = self.lightning_module.state_dict()
        state = {
            name: _cut(value, own[name]) if name in own else value for name, value in checkpoint["state_dict"].items()
        }
        self.lightning_module.load_state_dict(state, strict=strict)

    def load_optimizer_state_dict(self, checkpoint: Mapping[str, Any]) -> None:
        """Take this process's pieces of a whole state, of this kind of run or another."""
        for optimizer, state in zip(self.optimizers, checkpoint["optimizer_states"], strict=True):
            numbers = [number for group in state["param_groups"] for number in group["params"]]
            parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
            entries = {
                number: {name: _cut(value, parameter) for name, value in state["state"][number].items()}
                for number, parameter in zip(numbers, parameters, strict=True)
                if number in state["state"]
            }
            optimizer.load_state_dict({**state, "state": entries})
            _step_singly_where_mixed(optimizer)

    def _gathered(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """What is in pieces made whole, one tensor after another, so that no device holds all of them."""
        gathered = {}
        for name, value in state.items():
            whole = value.full_tensor() if isinstance(value, DTensor) else value
            if self.is_global_zero:
                gathered[name] = whole.cpu() if isinstance(whole, Tensor) else whole
        return gathered


def _step_singly_where_mixed(optimizer: Optimizer) -> None:
    """One call for all weights, the default on a GPU, refuses pieces beside whole weights."""
    for group in optimizer.param_groups:
        if len({isinstance(parameter, DTensor) for parameter in group["params"]}) == 2:
            group["foreach"] = False


def _cut(value: Any, like: Tensor) -> Any:
    """This process's piece of a whole tensor, where ``like`` is in pieces and has the same shape."""
    if not isinstance(like, DTensor) or not isinstance(value, Tensor) or value.shape != like.shape:
        return value  # AdamW's count of steps, for one
    return distribute_tensor(value.to(like.device), like.device_mesh, like.placements, src_data_rank=None)


def clip_gradients(parameters: Iterable[nn.Parameter], limit: float) -> Tensor:
    """Scale all gradients alike so that their norm is at most ``limit``, whole ones and those in pieces together.

    Args:
        parameters: those without a gradient do not count; every process passes the same.
        limit: of the Euclidean norm over all of them, above 0.

    Returns:
        The norm before, a scalar that is the same on every process whose whole gradients are the same.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    pieces = [gradient for gradient in gradients if isinstance(gradient, DTensor)]
    whole = [gradient for gradient in gradients if not isinstance(gradient, DTensor)]
    norms = [nn.utils.get_total_norm(whole)] if whole or not pieces else []
    if pieces:
        norm = nn.utils.get_total_norm(pieces)
        assert isinstance(norm, DTensor)
        norms.append(norm.full_tensor())  # summed over the processes here
    total = torch.linalg.vector_norm(torch.stack(norms))
    factor = (limit / (total + 1e-6)).clamp(max=1.0)
    for gradient in (*whole, *(piece.to_local() for piece in pieces)):
        gradient.mul_(factor)
    return total


def full_state(strategy: Strategy) -> dict[str, Tensor]:
    """The stage's whole state on the CPU of the first process, however it is kept; every process must ask."""
    return {name: value.cpu() for name, value in strategy.lightning_module_state_dict().items()}


def strategy(options: TrainerSettings, model: Restorer) -> str | ShardedStrategy:
    """How the processes of a run share the work."""
    return ShardedStrategy(model) if options.strategy == "fsdp" else options.strategy
